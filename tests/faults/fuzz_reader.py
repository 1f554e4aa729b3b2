"""Coverage-guided fuzzing of the run reader: whatever is in a run directory, it gives a run or raises UsageError.

python tests/faults/fuzz_reader.py [CORPUS] [-max_total_time=3600] [-seed=1] [any option of libFuzzer]

Each input is a list of edits to the files of a small whole run. It is faster in memory: set TMPDIR=/dev/shm.
"""

import itertools
import json
import shutil
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["snellen"]):
    import snellen
    from snellen.errors import UsageError
    from snellen.store.commits import damaged_files
    from snellen.store.find import find_runs

import numpy as np
import pyarrow as pa

from snellen.engine.answers import logprobs_table, merged_table, prediction_table, softmax
from snellen.store.schema import SAMPLES
from snellen.store.writer import commit
from snellen.zoom import paper_grid

GRID = paper_grid(scales=(192, 256))
CLASSES, IMAGES, BOUNDS = 3, 5, [0, 2, 5]
MOST_BYTES = 4096
VALUES = (None, True, -1, 0, 1, 2**31, 2**63, 10**30, 1.5, float("nan"), "", "x", "../x", "\0", "imagenet-1k", [], {})


def write_run(path: Path) -> None:
    """A whole run of two shards; one image could not be read."""
    for folder in ("parts", "commits"):
        (path / folder).mkdir(parents=True)
    rng = np.random.default_rng(0)
    names = [f"c/{k}.png" for k in range(IMAGES)]
    for shard, (start, stop) in enumerate(itertools.pairwise(BOUNDS)):
        images = [k for k in range(start, stop) if k != 3]
        logits = rng.standard_normal((len(images), len(GRID), CLASSES)).astype(np.float32)
        probs = softmax(logits)
        rows = [
            dict.fromkeys(SAMPLES.names)
            | {"image": k, "image_id": names[k], "origin": "x", "error": "bad" if k == 3 else None}
            for k in range(start, stop)
        ]
        pairs = list(zip(images, probs, strict=True))
        tables = {
            "samples": pa.Table.from_pylist(rows, schema=SAMPLES),
            "predictions": prediction_table(images, logits, probs, None),
            "merged": pa.concat_tables(merged_table(k, p, GRID.groups, None) for k, p in pairs),
            "logprobs": pa.concat_tables(logprobs_table(k, row) for k, row in zip(images, logits, strict=True)),
        }
        record = {"start": start, "stop": stop, "images": stop - start, "fingerprint": "f" * 64}
        commit(path, shard, tables, record | {"started": 1.0, "seconds": 1.0, "errors": 0, "views": 1})
    keys = [f"kind {k}" for k in range(CLASSES)]
    content = {
        "format": 1,
        "fingerprint": "f" * 64,
        "fingerprint_parts": {"images": "a"},
        "batch_size": 4,
        "sessions": [{"views": 1, "seconds": 1.0}],
        "data": {"spec": "x", "name": "x", "images": IMAGES, "label_sources": ["own"]},
        "classes": {"name": "x", "ids": [[0], [1, 2]], "outputs": CLASSES},
        "model": {"spec": "m", "precision": "fp32", "card": {"space": "mine", "keys": keys}},
        "grid": GRID.to_json(),
        "shards": BOUNDS,
    }
    (path / "run.json").write_text(json.dumps(content))
    lines = [f'"{name}","{keys[k % CLASSES]}"' for k, name in enumerate(names)]
    (path / "labels.csv").write_text("\n".join(["image_id,labels", *lines, ""]))


HOME = Path(tempfile.mkdtemp(prefix="fuzz-reader-"))
WHOLE, TRIED = HOME / "whole", HOME / "tried"
write_run(WHOLE)
FILES = sorted(path.relative_to(WHOLE) for path in WHOLE.rglob("*") if path.is_file())
# Most of what is decided stands in JSON.
FILES += 2 * [path for path in FILES if path.suffix == ".json"] + 3 * [Path("run.json")]


def change_json(data: atheris.FuzzedDataProvider, file: Path) -> None:
    """Give a field, however deep, another value, or take it away."""
    try:
        content = json.loads(file.read_bytes())
    except (ValueError, OSError):
        return
    at, key = None, None
    inner = content
    while isinstance(inner, dict | list) and inner:
        at = inner
        key = (
            data.PickValueInList(sorted(inner))
            if isinstance(inner, dict)
            else data.ConsumeIntInRange(0, len(inner) - 1)
        )
        inner = at[key]
        if data.ConsumeProbability() < 0.3:
            break
    if at is None:
        return
    if data.ConsumeBool():
        at[key] = data.PickValueInList(list(VALUES))
    elif data.ConsumeBool():
        del at[key]
    else:
        at[key] = data.ConsumeUnicode(20) if data.ConsumeBool() else data.ConsumeInt(8)
    file.write_text(json.dumps(content), errors="surrogatepass")


def change_bytes(data: atheris.FuzzedDataProvider, file: Path) -> None:
    """Overwrite, insert or cut away bytes."""
    if not file.is_file():
        return
    content = bytearray(file.read_bytes())
    at = data.ConsumeIntInRange(0, len(content))
    length = data.ConsumeIntInRange(0, 64)
    new = data.ConsumeBytes(length)
    if data.ConsumeBool():
        content[at : at + len(new)] = new
    elif data.ConsumeBool():
        content[at:at] = new
    else:
        del content[at : at + length if data.ConsumeBool() else len(content)]
    file.write_bytes(content)


def replace(data: atheris.FuzzedDataProvider, file: Path) -> None:
    """Other content, another file's content, or nothing at all."""
    if data.ConsumeBool():
        file.write_bytes(data.ConsumeBytes(data.ConsumeIntInRange(0, MOST_BYTES)))
    elif data.ConsumeBool():
        shutil.copy(WHOLE / data.PickValueInList(FILES), file)
    else:
        file.unlink(missing_ok=True)


def read_everything(path: Path) -> None:
    """All that a run can be asked."""
    run = snellen.load_run(path)
    for commit_record in run.commits.values():
        damaged_files(run.path, commit_record)
    _ = run.grid, run.class_space, run.model, run.data_name, run.complete, run.errors, run.class_map
    for kind in ("predictions", "merged"):
        run.table(kind)
    run.arrays(["id0", "p0"], narrow=True)
    if run.keeps_probs:
        list(run.probabilities())
        list(run.log_probabilities())
    for source in (None, *run.label_sources):
        run.correct(source)
    run.accuracy()


def worded(error: Exception) -> None:
    """An error is for a person: it has words."""
    assert str(error).strip()


def one_input(data: bytes) -> None:
    """Edit the run as `data` says, and read it: nothing but UsageError may come out."""
    shutil.rmtree(TRIED, ignore_errors=True)
    shutil.copytree(WHOLE, TRIED)
    provider = atheris.FuzzedDataProvider(data)
    for _ in range(provider.ConsumeIntInRange(1, 4)):
        file = TRIED / provider.PickValueInList(FILES)
        provider.PickValueInList([change_json, change_json, change_bytes, replace])(provider, file)
    for reader in (read_everything, find_runs):
        try:
            reader(TRIED)
        except UsageError as error:
            worded(error)


def main() -> None:
    # Long inputs from the start: one of a few bytes hardly changes anything.
    atheris.Setup([sys.argv[0], "-len_control=0", "-max_len=400", *sys.argv[1:]], one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    read_everything(WHOLE)
    main()
