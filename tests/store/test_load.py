"""Where runs are found, and a run.json that cannot be used."""

import json

import pytest
from run_tables import NINE

import snellen
from snellen.errors import UsageError
from snellen.store.find import find_runs


def test_finding_runs(make_run, tmp_path):
    out = tmp_path / "out"
    paths = [make_run(1, path=out / "data" / model / "paper-fp32", grid=NINE).path for model in ("b", "a")]
    assert [run.path for run in find_runs(out)] == sorted(paths)
    assert snellen.load_run(out / "data" / "a").path == snellen.load_run(str(paths[1])).path == paths[1]
    with pytest.raises(UsageError, match=r"holds 2 runs; name one of them: .*/a/.*/b/"):
        snellen.load_run(out)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "no directory"),
        (lambda path: path.mkdir(), "no run in .* no run.json"),
        (lambda path: path.write_text("x"), "is a file"),
    ],
)
def test_where_there_is_no_run(make, message, tmp_path):
    make(tmp_path / "out")
    with pytest.raises(UsageError, match=message):
        snellen.load_run(tmp_path / "out")


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "damaged"), (b"{", "damaged"), (b"\xff", "damaged"), (b"[]", "format"), (b'{"format": 99}', "format")],
)
def test_a_run_json_that_cannot_be_used(content, message, run):
    (run / "run.json").write_bytes(content)
    with pytest.raises(UsageError, match=message):
        snellen.load_run(run)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("classes",), {"name": "x"}),
        (("classes",), "x"),
        (("classes",), {"name": "x", "ids": [[0]], "outputs": 10**12}),
        (("classes",), {"name": "x", "ids": [[0], [0]], "outputs": 7}),
        (("data", "name"), 5),
        (("data", "label_sources"), [None]),
        (("data", "label_sources"), []),
        (("model", "card", "keys"), [1, 2, 3]),
        (("model", "card", "keys"), []),
        (("model", "spec"), None),
        (("grid", "rules"), []),
        (("shards",), [0, True]),
        (("fingerprint_parts",), []),
        (("sessions",), {}),
        (("model", "card", "inputs"), [1]),
        (("data",), []),
        (("model", "card"), {}),
        (("shards",), [0, 0]),
        (("grid", "rules"), [["x"]]),
    ],
    ids=str,
)
def test_a_run_json_with_a_damaged_field(place, value, make_run):
    made = make_run()
    record = json.loads((made.path / "run.json").read_text())
    inner = record
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    (made.path / "run.json").write_text(json.dumps(record))
    with pytest.raises(UsageError, match="damaged"):
        snellen.load_run(made.path)
