"""Opening a run's directory for work: what is refused, what is done again, what run.json says and does not say."""

import json
import sys
from importlib.metadata import version

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from snellen.classifiers import Prepared
from snellen.classifiers.base import ModelCard, OwnTransform
from snellen.datasets import open_dataset
from snellen.engine.names import run_directory
from snellen.engine.plan import open_plan
from snellen.errors import Stopped, UsageError
from snellen.places import place
from snellen.store.commits import commit_path
from snellen.store.find import load_run
from snellen.store.schema import KINDS, SAMPLES, kinds_of
from snellen.store.writer import commit
from snellen.zoom import paper_grid

GRID = paper_grid(scales=(192, 256))
SECRET = "c3VwZXIrc2VjcmV0LzEyMzQ1Njc4OTA"


@pytest.fixture
def dataset(tmp_path):
    """Four pictures."""
    for k in range(4):
        path = tmp_path / "photos" / "kind-0" / f"{k}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((8, 9, 3), k, np.uint8)).save(path)
    return open_dataset(tmp_path / "photos")


def prepared(text="timm/made_up", backend="openvino", precision="fp32", **options):
    keys = tuple(f"kind-{k}" for k in range(5))
    card = ModelCard("made up", "0" * 64, 224, OwnTransform(224, 256, "bicubic"), (0.5,), (0.5,), "kinds", keys, 1, 0)
    return Prepared(text, card, backend, "cpu", precision, 7, 30.0, options)


def opened(dataset, out, model=None, **options):
    return open_plan(dataset, model or prepared(), GRID, out, limit=options.pop("limit", None), workers=1, **options)


def finish(plan, tasks):
    """Commit tasks as a worker would; every image is unreadable."""
    for task in tasks:
        rows = [
            dict.fromkeys(SAMPLES.names) | {"image": k, "image_id": f"{k}", "origin": "x", "error": "made up"}
            for k in range(task.start, task.stop)
        ]
        tables = {kind: KINDS[kind].empty_table() for kind in kinds_of(plan.record)}
        tables["samples"] = pa.Table.from_pylist(rows, schema=SAMPLES)
        record = {"start": task.start, "stop": task.stop, "fingerprint": task.fingerprint}
        assert commit(plan.path, task.shard, tables, record)


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_where_run_json_is_gone_no_run_is_begun_among_what_is_left(dataset, tmp_path):
    with opened(dataset, tmp_path / "out") as plan:
        finish(plan, plan.tasks())
    kept = (plan.path / "run.json").read_bytes()
    (plan.path / "run.json").unlink()
    before = contents(tmp_path / "out")
    with (
        pytest.raises(UsageError, match=r"has commit records, but no run\.json") as raised,
        opened(dataset, tmp_path / "out"),
    ):
        pass
    assert "\n" not in str(raised.value)
    assert contents(tmp_path / "out") == before
    (plan.path / "run.json").write_bytes(kept)
    with opened(dataset, tmp_path / "out") as plan:
        assert plan.tasks() == []


def test_a_store_where_nothing_can_be_kept_is_refused_before_anything_is_made(dataset):
    pytest.importorskip("upath")
    from fsspec import register_implementation
    from fsspec.implementations.memory import MemoryFileSystem
    from upath.implementations.memory import MemoryPath
    from upath.registry import register_implementation as register_path

    class Clumsy(MemoryFileSystem):
        protocol = "clumsy"

    register_implementation("clumsy", Clumsy, clobber=True)
    register_path("clumsy", MemoryPath, clobber=True)
    before = dict(MemoryFileSystem.store)
    with pytest.raises(UsageError, match="cannot be replaced in one step"), opened(dataset, place("clumsy://b/out")):
        pass
    assert MemoryFileSystem.store == before


def test_a_session_is_added_to_those_that_came_in_between(dataset, tmp_path):
    """As where a command slept, and another had the run and went on with it."""
    with opened(dataset, tmp_path / "out", limit=2) as plan:
        finish(plan, plan.tasks())
        file = plan.path / "run.json"
        record = json.loads(file.read_text())
        record["sessions"].append({"host": "another"})
        record["shards"].append(4)
        file.write_text(json.dumps(record))
        plan.finish({"host": "this"})
    found = json.loads(file.read_text())
    assert [session["host"] for session in found["sessions"]] == ["another", "this"]
    assert found["shards"][-1] == 4
    assert plan.record == found


@pytest.mark.parametrize("change", [lambda file: file.unlink(), lambda file: file.write_text("{")])
def test_a_run_json_that_went_meanwhile_stops_what_can_be_resumed(change, dataset, tmp_path):
    with opened(dataset, tmp_path / "out") as plan:
        change(plan.path / "run.json")
        with pytest.raises(Stopped, match=r"run\.json.*what was finished is kept"):
            plan.finish({})


def test_a_run_json_of_another_run_gets_no_session(dataset, tmp_path):
    with opened(dataset, tmp_path / "out") as plan:
        text = (plan.path / "run.json").read_text().replace(plan.record["fingerprint"], "0" * 64)
        (plan.path / "run.json").write_text(text)
        with pytest.raises(Stopped, match="another run's"):
            plan.finish({})
        assert (plan.path / "run.json").read_text() == text


@pytest.mark.parametrize(
    ("kind", "keep_probs"), [("samples", False), ("predictions", False), ("merged", False), ("logprobs", True)]
)
def test_a_shard_whose_record_lacks_a_kind_is_done_again(kind, keep_probs, dataset, tmp_path):
    with opened(dataset, tmp_path / "out", keep_probs=keep_probs) as plan:
        finish(plan, plan.tasks())
        assert plan.tasks() == []
        path = commit_path(plan.path, 1)
        record = json.loads(path.read_text())
        del record["files"][kind]
        path.write_text(json.dumps(record))
        assert [task.shard for task in plan.tasks()] == [1]
        assert not path.exists()


@pytest.mark.parametrize("fingerprint", [None, "0" * 64])
def test_a_shard_whose_record_does_not_name_the_run_is_done_again(fingerprint, dataset, tmp_path):
    with opened(dataset, tmp_path / "out") as plan:
        finish(plan, plan.tasks())
        path = commit_path(plan.path, 0)
        path.write_text(json.dumps({**json.loads(path.read_text()), "fingerprint": fingerprint}))
        assert [task.shard for task in plan.tasks()] == [0]


def test_no_secret_gets_into_run_json(dataset, tmp_path, monkeypatch):
    """Of a signed URL, of the model's options, of the command line."""
    url = "parquet/https://host/photos.parquet"
    monkeypatch.setattr(dataset, "spec", f"{url}?X-Amz-Expires=60&X-Amz-Signature={SECRET}")
    monkeypatch.setattr(sys, "argv", ["train.py", "--hf-token", SECRET, "--data", dataset.spec])
    from snellen.engine.record import session_record

    with opened(dataset, tmp_path / "out", prepared(f"timm/made_up,api_key={SECRET}", api_key=SECRET)) as plan:
        plan.finish(session_record(0.0, 1.0, [], 0, 1))
    text = (plan.path / "run.json").read_text()
    assert SECRET not in text
    assert f"{url}?…" in json.loads(text)["data"]["spec"]
    assert json.loads(text)["sessions"][0]["command"] == f"train.py --hf-token … --data '{url}?…'"
    assert load_run(plan.path).data == f"{url}?…"
    # Signed anew it is the same place, so that the run goes on.
    monkeypatch.setattr(dataset, "spec", f"{url}?X-Amz-Signature=other{SECRET}")
    assert run_directory(tmp_path / "out", dataset, prepared(f"timm/made_up,api_key={SECRET}"), GRID) == plan.path


@pytest.mark.parametrize(
    ("model", "used"),
    [
        (prepared(), []),
        (prepared(backend="onnxruntime"), ["onnxruntime"]),
        (prepared(precision="int8"), ["nncf"]),
        (prepared("open_clip/RN50,openai"), ["open_clip_torch"]),
        (prepared("hf/a/b"), ["transformers"]),
    ],
)
def test_versions_of_what_is_used(model, used, dataset, tmp_path):
    for name in used:
        pytest.importorskip({"open_clip_torch": "open_clip"}.get(name, name))
    with opened(dataset, tmp_path / "out", model) as plan:
        found = plan.record["versions"]
    others = {"onnxruntime", "nncf", "open_clip_torch", "transformers"} - set(used)
    assert {name: found[name] for name in used} == {name: version(name) for name in used}
    assert found["pillow"] == version("pillow")
    assert others.isdisjoint(found)
