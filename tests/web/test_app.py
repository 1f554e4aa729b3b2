"""Data files and verdicts as a browser asks for them; verdicts against the log and `review`'s own reading of it."""

import csv
import io
import json
import subprocess
import sys
import uuid

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hard_set import client_of, images_of, verdict_on, write_hard_set
from page import MadeUpSet, client, served

from snellen.mining import log
from snellen.mining.hardset import read
from snellen.mining.log import append, encode, read_log
from snellen.mining.mined import CANDIDATES
from snellen.web import verdicts as module
from snellen.web.verdicts import Reviews

WRITE = {"x-snellen": "review"}
IMAGES = images_of(5)


@pytest.fixture
def hard(tmp_path):
    return write_hard_set(tmp_path / "HARD", IMAGES)


@pytest.fixture
def asked(tmp_path, drawers, hard):
    return client(served(tmp_path / "cache", drawers, MadeUpSet([]), hard=hard))


def plain(*verdicts):
    return [json.loads(line) for line in encode(verdicts).splitlines()]


def post(asked, *verdicts, status=200):
    records = [one if isinstance(one, dict) else plain(one)[0] for one in verdicts]
    answer = asked.post("/api/verdicts", json={"verdicts": records}, headers=WRITE)
    assert answer.status_code == status, answer.text
    return answer.json()


def test_data_files_have_tags_and_may_be_kept_where_their_version_is_named(asked, tmp_path):
    first = asked.get("/data/s0/images.json")
    assert first.json() == {"n": 0}
    tag = first.headers["etag"]
    assert first.headers["cache-control"] == "no-cache"
    again = asked.get("/data/s0/images.json?v=12", headers={"if-none-match": tag})
    assert (again.status_code, again.content) == (304, b"")
    assert "immutable" in again.headers["cache-control"]
    (tmp_path / "cache/data/s0/images.json").write_text('{"n": 10}')
    assert asked.get("/data/s0/images.json", headers={"if-none-match": tag}).json() == {"n": 10}
    assert asked.get("/data/s0/m1.json").status_code == 404


def test_a_page_that_is_older_than_the_server_gets_no_other_images_in_its_places(asked):
    """A hard set was mined again and the server started again: what an open page shows is what it says it shows."""
    for address in ("data/s0/images.json", "thumbs/s0/0.jpg", "pictures/s0/0.jpg", "views/s0/0/0.png"):
        answer = asked.get(f"/{address}?v=older")
        assert answer.status_code == 404
        assert "load it again" in answer.json()["error"]
        assert answer.headers["cache-control"] == "no-store"


def test_names_that_are_no_utf_8(asked, monkeypatch, tmp_path, drawers):
    site = served(tmp_path / "other", drawers, MadeUpSet([]))
    monkeypatch.setattr(site.files, "site", lambda: {"title": "o\udcff", "sets": []})
    answer = client(site).get("/data/site.json")
    assert (answer.status_code, answer.json()["title"]) == (200, "o\udcff")


def test_the_site_says_that_it_is_live_and_whether_it_can_be_reviewed(asked, tmp_path, drawers):
    site = asked.get("/data/site.json").json()
    assert (site["live"], site["review"], site["references"], site["reviewer"]) == (True, True, False, "ada")
    without = client(served(tmp_path / "other", drawers, MadeUpSet([])))
    assert without.get("/data/site.json").json()["review"] is False
    assert without.get("/api/verdicts").status_code == 404
    assert without.post("/api/verdicts", json={}, headers=WRITE).status_code in (404, 405)


def test_a_verdict_is_in_the_log_when_it_is_answered(asked, hard):
    given = verdict_on(IMAGES[1], "relabel", "n01440764", "n01443537", reason="twø")
    answer = post(asked, given)
    assert answer["stored"] == [given.key]
    assert read_log(hard).verdicts == (given,)
    found = answer["images"][IMAGES[1].id]
    assert (found["status"], found["labels"]) == ("relabelled", [0, 1])
    assert found["standing"] == [
        {"key": given.key, "reviewer": "ada", "verdict": "relabel", "labels": list(given.labels)}
        | {"time": given.time, "reason": "twø"}
    ]


def test_the_state_is_what_review_reads(asked, hard):
    post(asked, verdict_on(IMAGES[0]), verdict_on(IMAGES[1], "drop", seq=1), verdict_on(IMAGES[2], "unsure", seq=2))
    # Another command and another reviewer, beside the server.
    append(hard, [verdict_on(IMAGES[0], "drop", reviewer="bob", client=2), verdict_on(IMAGES[3], client=2, seq=1)])
    state, expected = asked.get("/api/verdicts").json(), read(hard)
    assert state["counts"] == expected.counts
    assert state["reviewers"] == ["ada", "bob"]
    assert state["images"].keys() == {image.mined.id for image in expected.images if image.standing}
    for image in expected.images:
        if image.standing:
            found = state["images"][image.mined.id]
            assert (found["status"], found["labels"]) == (image.status, list(image.labels))
            assert [one["key"] for one in found["standing"]] == [one.key for one in image.standing]
    assert state["conflicts"] == [
        {"id": one.image.id, "why": one.why, "keys": [said.key for said in one.verdicts]} for one in expected.conflicts
    ]
    assert [(pair["a"], pair["b"], pair["kappa"]["n"]) for pair in state["agreement"]] == [("ada", "bob", 1)]


def test_its_version_changes_with_it_and_with_nothing_else(asked, hard):
    first = asked.get("/api/verdicts")
    tag = first.headers["etag"]
    assert tag == f'"{first.json()["version"]}"'
    assert asked.get("/api/verdicts", headers={"if-none-match": tag}).status_code == 304
    post(asked, verdict_on(IMAGES[0]))
    second = asked.get("/api/verdicts", headers={"if-none-match": tag})
    assert second.status_code == 200
    tag = second.headers["etag"]
    post(asked, verdict_on(IMAGES[0]))  # again: nothing new
    assert asked.get("/api/verdicts", headers={"if-none-match": tag}).status_code == 304
    append(hard, [verdict_on(IMAGES[1], client=2)])
    assert asked.get("/api/verdicts", headers={"if-none-match": tag}).status_code == 200


def test_sent_again_in_other_batches_nothing_is_stored_twice(asked, hard):
    three = [verdict_on(IMAGES[k], seq=k) for k in range(3)]
    post(asked, *three[:2])
    answer = post(asked, *three)
    assert answer["stored"] == [one.key for one in three]
    later = {**plain(three[0])[0], "time": "2026-01-01T00:00:00Z"}  # a clock says nothing
    post(asked, later)
    assert read_log(hard).verdicts == tuple(three)
    assert len(list((hard / "verdicts").iterdir())) == 2


def test_the_same_name_for_another_verdict_is_a_conflict(asked, hard):
    post(asked, verdict_on(IMAGES[0]))
    answer = post(asked, verdict_on(IMAGES[0], "drop"), verdict_on(IMAGES[1], seq=1), status=409)
    assert answer["key"] == f"{client_of(1)}/0"
    assert len(read_log(hard).verdicts) == 1
    # A server that was started later knows what was stored before.
    with pytest.raises(module.Taken):
        Reviews(hard).add({"verdicts": plain(verdict_on(IMAGES[0], "drop"))})


BAD = [
    ({"verdict": "love"}, "none of keep"),
    ({"verdict": "relabel", "labels": []}, "labels belong to relabel"),
    ({"labels": ["n01440764"]}, "labels belong to relabel"),
    ({"verdict": "relabel", "labels": ["n99999999"]}, "key of no class"),
    ({"verdict": "relabel", "labels": [0]}, "no list of texts"),
    ({"id": "0" * 16}, "no image"),
    ({"id": ["0"]}, "no text"),
    ({"id": "../../../../x"}, "hex digits"),
    ({"sha256": "A" * 64}, "hex digits"),
    ({"client": "../../../../tmp/x"}, "no UUID"),
    ({"client": str(uuid.UUID(int=10**37)).upper()}, "UUID"),
    ({"client": 3}, "no text"),
    ({"client": "\ud800"}, "UUID"),
    ({"seq": -1}, "whole number"),
    ({"seq": 1.5}, "whole number"),
    ({"seq": True}, "whole number"),
    ({"seq": 10**300}, "more than"),
    ({"reviewer": ""}, "reviewer's name"),
    ({"reviewer": "a\nb"}, "reviewer's name"),
    ({"reviewer": "a" * 101}, "reviewer's name"),
    ({"reason": "a" * 10_001}, "longer than"),
    ({"reason": "\ud800"}, "surrogate"),
    ({"time": "yesterday"}, "RFC 3339"),
    ({"time": "2025-01-01T00:00:00+02:00"}, "UTC"),
    ({"based_on": "all"}, "no list of texts"),
    ({"based_on": [""]}, "no list of texts"),
]


@pytest.mark.parametrize(("change", "why"), BAD)
def test_what_is_no_verdict_is_refused_and_named(asked, hard, change, why):
    good, bad = plain(verdict_on(IMAGES[0]), verdict_on(IMAGES[1], seq=1))
    bad |= change
    body = json.dumps({"verdicts": [good, bad]}).encode()
    answer = asked.post("/api/verdicts", content=body, headers=WRITE | {"content-type": "application/json"})
    assert answer.status_code == 400
    assert why in answer.json()["error"]
    assert answer.json()["key"] == f"{bad['client']}/{bad['seq']}"
    assert "\n" not in answer.json()["error"]
    assert not read_log(hard).verdicts


def test_a_batch_is_of_one_client_and_numbered_upwards(asked, hard):
    a, b = verdict_on(IMAGES[0]), verdict_on(IMAGES[1], seq=1)
    for batch in ([], [b, a], [a, a], [a, verdict_on(IMAGES[1], client=2, seq=1)]):
        post(asked, *batch, status=400)
    for body in (b"", b"[]", b"3", b'{"verdicts": 3}', b'{"verdicts": [3]}', b'{"verdicts": [null]}', b"\xff", b"NaN"):
        answer = asked.post("/api/verdicts", content=body, headers=WRITE | {"content-type": "application/json"})
        assert answer.status_code == 400, body
    assert not read_log(hard).verdicts


def test_where_it_cannot_be_written_it_is_to_be_sent_again(asked, hard, monkeypatch):
    def full(path, data):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(log, "create_atomic", full)
        assert post(asked, verdict_on(IMAGES[0]), status=503)["error"] == "[Errno 28] No space left on device"
    assert post(asked, verdict_on(IMAGES[0]))["stored"]
    assert len(read_log(hard).verdicts) == 1


def test_a_damaged_log_is_told_of_and_still_takes_verdicts(asked, hard):
    post(asked, verdict_on(IMAGES[0]))
    (hard / "verdicts" / "strange.jsonl").write_text("no verdict\n")
    answer = asked.get("/api/verdicts")
    assert answer.status_code == 503
    assert "strange.jsonl, line 1" in answer.json()["error"]
    assert post(asked, verdict_on(IMAGES[1], seq=1))["stored"]


def test_the_csv_is_the_one_that_review_exports(asked, hard):
    post(asked, verdict_on(IMAGES[0], "drop", reason="=blurred"))
    answer = asked.get("/api/review.csv?reviewer=ada")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert "attachment" in answer.headers["content-disposition"]
    rows = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))
    assert [row["your_verdict"] for row in rows] == ["drop", "", "", "", ""]
    assert rows[0]["your_reason"] == "'=blurred"
    assert all(row["exported_for"] == "ada" for row in rows)
    append(hard, [verdict_on(IMAGES[0], "keep", reviewer="bob", client=2)])
    (row,) = csv.DictReader(io.StringIO(asked.get("/api/review.csv?conflicts").content.decode("utf-8-sig")))
    assert row["conflict"] == "reviewers disagree"


def test_the_csv_names_no_folder_of_this_machine(tmp_path, drawers):
    hard = write_hard_set(tmp_path / "other", IMAGES[:1])
    rows = pq.read_table(hard / "candidates.parquet").to_pylist()
    rows[0]["miners"] = ["timm/x@/home/me/w.safetensors", "embedded/efficientnet_lite1"]
    pq.write_table(pa.Table.from_pylist(rows, CANDIDATES), hard / "candidates.parquet")
    asked = client(served(tmp_path / "second", drawers, MadeUpSet([]), hard=hard))
    for query in ("", "?reviewer=ada"):
        (row,) = csv.DictReader(io.StringIO(asked.get(f"/api/review.csv{query}").content.decode("utf-8-sig")))
        assert row["miners"] == "timm/x@w.safetensors | embedded/efficientnet_lite1"


def test_what_has_no_version_is_kept_for_a_moment_only(asked):
    for address in ("?v=1", "data/site.json?v=1", "api/verdicts?v=1", "data/references.json?v=1"):
        assert asked.get(f"/{address}").headers["cache-control"] == "no-cache"


def test_of_a_log_only_what_is_new_is_read_again(hard, monkeypatch):
    append(hard, [verdict_on(IMAGES[0])])
    first = read_log(hard)
    assert read_log(hard, first) is first
    append(hard, [verdict_on(IMAGES[1], seq=1)])
    parsed = []
    real = log._parse
    monkeypatch.setattr(log, "_parse", lambda data, where: parsed.append(where) or real(data, where))
    second = read_log(hard, first)
    assert len(parsed) == 1
    monkeypatch.undo()
    assert second == read_log(hard)
    # A file that was copied in part is looked at again when it is whole, and one that is gone is gone.
    (path,) = (hard / "verdicts").glob("*.1-1.jsonl")
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    torn = read_log(hard, second)
    assert (torn.verdicts, torn.torn) == (first.verdicts, (path.name,))
    path.write_bytes(whole)
    assert read_log(hard, torn) == second
    path.unlink()
    assert read_log(hard, second) == first


def test_the_server_is_small():
    code = "import sys, snellen.web.serve, snellen.cli.view; print(*{name.split('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not set(done.stdout.split()) & {"torch", "timm", "ray", "numba", "openvino", "matplotlib", "pandas"}
