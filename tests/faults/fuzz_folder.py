"""Coverage-guided fuzzing of the class-folder loader: any folder gives a data set or raises DataError.

python tests/faults/fuzz_folder.py [CORPUS] [-max_total_time=3600] [-seed=1] [any option of libFuzzer]

Each input builds a folder: names of any bytes, files of any size, links to anywhere, pipes, folders in folders, modes.
It is faster in memory: set TMPDIR=/dev/shm.
"""

import contextlib
import os
import shutil
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["snellen"]):
    from snellen.datasets import open_dataset
    from snellen.datasets.folder import SUFFIXES
    from snellen.errors import DataError
    from snellen.labels import IMAGENET_1K, ClassSpace

HOME = Path(tempfile.mkdtemp(prefix="fuzz-folder-"))
ROOT = HOME / "root"
WORDS = [
    b"n01440764",
    b"0",
    b"tench",
    b"crane",
    b"999",
    b"1000",
    b"-1",
    b"Tinca_tinca",
    b".hidden",
    b"val",
    b"\xff\xfe",
]
WORDS += ["雪".encode(), b"a b", b"new\nline", b"|", b" ", b"x" * 255]
ENDINGS = [*(suffix.encode() for suffix in SUFFIXES), b".JPG", b".txt", b"", b".jpg."]
OWN = ClassSpace.of_names(["tench", "crane", "a b", "雪"], "own")


def name(data: atheris.FuzzedDataProvider) -> str:
    """A file name that Linux takes."""
    word = data.PickValueInList(WORDS) if data.ConsumeBool() else data.ConsumeBytes(data.ConsumeIntInRange(1, 30))
    made = (word + data.PickValueInList(ENDINGS)).replace(b"/", b"_").replace(b"\0", b"0")[:255]
    return os.fsdecode(made) if made not in (b"", b".", b"..") else "_"


def build(data: atheris.FuzzedDataProvider) -> None:
    """A tree below ROOT."""
    ROOT.mkdir()
    folders = [ROOT]
    for _ in range(data.ConsumeIntInRange(0, 12)):
        path = data.PickValueInList(folders) / name(data)
        kind = data.ConsumeIntInRange(0, 9)
        try:
            if kind < 4:
                path.mkdir()
                folders.append(path)
            elif kind < 7:
                with path.open("xb") as file:
                    file.truncate(data.ConsumeIntInRange(0, 10**6))
            elif kind == 7:
                places = [*map(str, folders), ".", "..", "nowhere", str(path), path.name, "/dev/null"]
                path.symlink_to(data.PickValueInList(places))
            elif kind == 8:
                os.mkfifo(path)
            else:
                data.PickValueInList(folders).chmod(data.ConsumeIntInRange(0, 0o777) | 0o700)
        except OSError:  # the name is taken, or too long with its folders
            continue


def worded(error: Exception) -> None:
    """An error is for a person: it has words."""
    assert str(error).strip()


def one_input(data: bytes) -> None:
    """Build a folder as `data` says and open it: a data set, or DataError."""
    shutil.rmtree(ROOT, ignore_errors=True)
    provider = atheris.FuzzedDataProvider(data)
    build(provider)
    try:
        dataset = open_dataset(ROOT)
    except DataError as error:
        worded(error)
        return
    ids = [item.id for item in dataset.items]
    assert ids
    assert len(set(ids)) == len(ids) or any("\\x" in image for image in ids)
    assert len(dataset.fingerprint) == 64
    for image in ids:
        image.encode()  # any file can hold it
    for space in (IMAGENET_1K, OWN):
        try:
            labels = dataset.label_sets(ids, space)
        except DataError as error:
            worded(error)
        else:
            assert len(labels) == len(ids)
            assert all(0 <= label < len(space) for row in labels for label in row)
    for k in range(len(ids)):
        with contextlib.suppress(OSError):
            dataset.read(k)
    assert open_dataset(dataset.spec).fingerprint == dataset.fingerprint


def main() -> None:
    # Long inputs from the start: one of a few bytes hardly changes anything.
    atheris.Setup([sys.argv[0], "-len_control=0", "-max_len=400", *sys.argv[1:]], one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
