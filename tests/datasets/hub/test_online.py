"""Data sets over a stand-in for the Hub on the loopback interface, and from the cache on disk.

What talks to a Hub runs in a process of its own, for huggingface_hub reads its environment when it is imported.
"""

import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hub_copies import COMMIT, NO_NETWORK, REPO, VALIDATION, put, put_cache, sha256
from seen import seen

from snellen.datasets import open_dataset


def test_from_the_hub(hub, files, truth, rows):
    commit = hub.add(REPO, files)
    last = len(rows) - 1
    opened = seen(f"hub/{REPO}", 0, 4, **hub.environment)
    assert {key: opened[key] for key in truth} == truth
    assert opened["spec"] == f"hub/{REPO}:validation,revision={commit}"
    assert (opened["revision"], opened["name"]) == (commit, "taesiri-imagenet-hard-validation")
    assert opened["images"] == [sha256(rows)[0], sha256(rows)[4]]
    assert opened["reachable"]
    whole = [r.path for r in hub.requests if r.method == "GET" and r.stop is None and r.path != "README.md"]
    assert whole == VALIDATION[:1]  # the second file is not needed yet
    by_range = [request.sent for request in hub.requests if request.stop is not None]
    assert len(by_range) <= 2 + 6  # two footers, and the small columns of six row groups
    assert max(by_range) < 80_000
    assert sum(by_range) < 0.3 * sum(map(len, files.values()))  # these row groups are small; a usual one has 100 rows
    assert opened["breaks"] == [3, 6, 8, 11, 14]

    asked = len(hub.asked)
    again = seen(opened["spec"], 0, last, **hub.environment)  # as a worker does
    assert again | {"images": []} == opened | {"images": []}
    assert again["images"] == [sha256(rows)[0], sha256(rows)[last]]
    assert [line for line in hub.asked[asked:] if "datasets/" in line and VALIDATION[1] not in line] == []

    offline = {**hub.environment, "HF_ENDPOINT": NO_NETWORK}
    for environment in (offline, offline | {"HF_HUB_OFFLINE": "1"}):
        for spec in (opened["spec"], f"hub/{REPO}"):
            assert seen(spec, last, **environment) == opened | {"images": [sha256(rows)[last]]}


def test_the_same_fingerprint_from_the_hub_its_cache_and_a_copy(hub, files, truth, tmp_path):
    hub.add(REPO, files)
    ways = {
        "hub": seen(f"hub/{REPO}", **hub.environment),
        "cache": seen(f"hub/{REPO}", HF_ENDPOINT=NO_NETWORK, **put_cache(tmp_path / "cache", files)),
        "copy": seen(f"hub/{REPO}@{put(tmp_path / 'copy', files)}"),
    }
    for way in ways.values():
        assert {key: way[key] for key in truth} == truth
    assert len({way["fingerprint"] for way in ways.values()}) == 1


@pytest.mark.parametrize("offline", [{"HF_HUB_OFFLINE": "1"}, {"HF_ENDPOINT": NO_NETWORK}])
def test_from_the_cache_that_another_program_filled(files, truth, rows, tmp_path, offline):
    environment = put_cache(tmp_path, files) | offline
    found = seen(f"hub/{REPO}", *range(len(rows)), **environment)
    assert {key: found[key] for key in truth} == truth
    assert found["images"] == sha256(rows)
    assert found["revision"] == COMMIT


def test_a_cache_with_a_part_of_the_files(files, tmp_path):
    environment = put_cache(tmp_path, {path: files[path] for path in ("README.md", VALIDATION[0])})
    found = seen(f"hub/{REPO}", HF_HUB_OFFLINE="1", **environment)
    assert found["error"].startswith(f"only a part of {REPO} is here: data/validation (1 of 2 files)")
    assert found["exit_code"] == 2


def test_a_later_commit_is_another_data_set_and_the_old_one_stays(hub, files, rows):
    first = hub.add(REPO, files)
    before = seen(f"hub/{REPO}", **hub.environment)
    second = hub.add(
        REPO,
        {path: data for path, data in files.items() if path == "README.md"}
        | {"data/validation-00000-of-00001.parquet": files[VALIDATION[0]]},
    )
    after = seen(f"hub/{REPO}", **hub.environment)
    assert (before["revision"], after["revision"]) == (first, second)
    assert before["fingerprint"] != after["fingerprint"]
    assert seen(before["spec"], **hub.environment) == before
    assert seen(f"hub/{REPO},revision={first}", **hub.environment) == before


def test_a_branch_and_a_configuration(hub, files):
    hub.add(REPO, {"README.md": b"# Words"})
    commit = hub.add(REPO, {"fog/3-00000-of-00001.parquet": files[VALIDATION[0]]}, "v2")
    found = seen(f"hub/{REPO}:3,config=fog,revision=v2", **hub.environment)
    assert found["spec"] == f"hub/{REPO}:3,config=fog,revision={commit}"
    assert found["name"] == "taesiri-imagenet-hard-fog-3"


def test_what_the_hub_converted(hub, files, truth):
    hub.add(REPO, {"README.md": b"# Words", "photos.zip": b"x"})
    parts = {f"default/validation/{k:04d}.parquet": files[path] for k, path in enumerate(VALIDATION)}
    commit = hub.add(REPO, parts, "refs/convert/parquet")
    found = seen(f"hub/{REPO}", 0, **hub.environment)
    assert (found["revision"], found["labels"]) == (commit, truth["labels"])
    assert seen(found["spec"], 0, HF_HOME=hub.environment["HF_HOME"], HF_HUB_OFFLINE="1") == found


def test_a_node_of_a_cluster_copies_no_file(hub, files, truth, rows):
    """It reads ranges of the row groups whose images it wants, and keeps none of them."""
    hub.add(REPO, files)
    wanted = [1, 2, len(rows) - 1]
    opened = seen(f"hub/{REPO}", *wanted, stream=True, **hub.environment)
    assert {key: opened[key] for key in truth} == truth
    assert opened["images"] == [sha256(rows)[k] for k in wanted]
    assert [r.path for r in hub.requests if r.method == "GET" and r.stop is None and r.path != "README.md"] == []
    # What is here already is used.
    seen(opened["spec"], *range(len(rows)), **hub.environment)
    asked = len(hub.requests)
    assert seen(opened["spec"], *wanted, stream=True, **hub.environment)["images"] == opened["images"]
    assert len(hub.requests) == asked


def test_paths_instead_of_images_need_a_local_copy(hub, tmp_path):
    out = io.BytesIO()
    pq.write_table(pa.table({"image": ["a.jpg"], "label": [1]}), out)
    files = {"test.parquet": out.getvalue()}
    hub.add("o/paths", files)
    assert "column 'image' holds paths; give a local copy" in seen("hub/o/paths", **hub.environment)["error"]
    dataset = open_dataset("hub/o/paths", root=put(tmp_path / "copy", files | {"a.jpg": b"photo"}))
    assert dataset.read(0) == b"photo"
