"""Parquet files that are damaged, cut, gone or not to be read: what costs an image, and what stops the run."""

import errno
import os
import random
import re
import struct
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from parquet_sets import PAGES_OF_8, bytes_read, labels, open_path, spoil

from snellen.datasets.parquet.dataset import ParquetDataSet
from snellen.datasets.parquet.files import placed_files
from snellen.datasets.parquet.rows import DAMAGED
from snellen.engine.samples import OF_ONE_FILE, read_image, sample_row
from snellen.errors import DataError, Stopped


def damaged(data, what):
    middle, footer = len(data) // 2, int.from_bytes(data[-8:-4], "little") + 8
    return {
        "empty": b"",
        "short": data[:7],
        "text": b"version https://git-lfs.github.com/spec/v1\n" * 3,
        "cut": data[:middle],
        "no magic": data[:-4] + b"PAR2",
        "long footer": data[:-8] + (2**31).to_bytes(4, "little") + b"PAR1",
        "no schema": data[:-footer] + bytes(footer // 2) + data[-footer + footer // 2 :],
    }[what]


@pytest.mark.parametrize("what", ["empty", "short", "text", "cut", "no magic", "long footer", "no schema"])
def test_a_damaged_file_costs_one_line_at_opening(write, tmp_path, what):
    write("d/a.parquet", label=[1] * 50)
    path = write("d/b.parquet", label=[1] * 50)
    path.write_bytes(damaged(path.read_bytes(), what))
    with pytest.raises(DataError, match=r"b.parquet' cannot be read as a Parquet file: .*; fetch it again") as raised:
        open_path(tmp_path / "d")
    assert "\n" not in str(raised.value)


def test_flipped_bytes_of_a_footer_are_never_worse_than_an_error(write):
    path = write("a.parquet", label=[1] * 20, origin=["x"] * 20, group=5)
    data = path.read_bytes()
    footer = int.from_bytes(data[-8:-4], "little")
    rng = random.Random(2)
    outcomes = set()
    for _ in range(150):
        changed = bytearray(data)
        changed[len(data) - 8 - rng.randrange(footer)] ^= 1 << rng.randrange(8)
        path.write_bytes(changed)
        try:
            dataset = open_path(path)
            labels(dataset)
            for k in range(len(dataset.items)):
                dataset.read(k)
            outcomes.add("read")
        except DataError:
            outcomes.add("refused")
        except OSError as error:
            outcomes.add(error.errno)
    assert {"read", "refused"} <= outcomes <= {"read", "refused", DAMAGED}


@pytest.mark.parametrize("order", ["forward", "backward", "only the damaged"])
def test_damaged_rows_are_their_own_fault_and_the_others_are_read(large, order):
    path = large(120, 40, 3_000, **PAGES_OF_8)
    whole = open_path(path)
    spoil(path, 48, 3_000)
    dataset = open_path(path)
    assert dataset.fingerprint == whole.fingerprint
    rows = {"forward": range(120), "backward": range(119, -1, -1), "only the damaged": range(40, 80)}[order]
    lost = []
    for row in rows:
        sample = sample_row(dataset, row)
        data = read_image(dataset, row, sample)  # no Stopped
        if data is None:
            lost.append(row)
            assert re.fullmatch(r"cannot be read: large\.parquet, row group 1: .+", sample["error"])
        else:
            assert int.from_bytes(data[:4], "big") == row
    assert sorted(lost) == list(range(48, 80))  # what lies before the damage is read, though held in one batch with it


def test_a_lost_row_group_is_not_read_for_each_of_its_rows(large):
    path = large(400, 200, 40_000, **PAGES_OF_8)
    spoil(path, 120, 40_000)
    dataset = open_path(path)
    before = bytes_read()
    samples = [sample_row(dataset, row) for row in range(400)]
    lost = [row for row in range(400) if read_image(dataset, row, samples[row]) is None]
    assert lost == list(range(120, 200))
    assert bytes_read() - before < 2 * path.stat().st_size


def test_text_that_is_none_costs_its_own_row_only(tmp_path):
    image = pa.Array.from_buffers(
        pa.string(), 3, [None, pa.py_buffer(struct.pack("<4i", 0, 5, 7, 12)), pa.py_buffer(b"a.jpg\xff\xfeb.jpg")]
    )
    pq.write_table(pa.table({"image": image}), tmp_path / "a.parquet", use_dictionary=False)
    for name in ("a", "b"):
        (tmp_path / f"{name}.jpg").write_bytes(name.encode())
    dataset = open_path(tmp_path / "a.parquet")
    with pytest.raises(OSError, match=r"a\.parquet, row group 0: .*utf-8") as raised:
        dataset.read(1)
    assert raised.value.errno == DAMAGED
    assert (dataset.read(0), dataset.read(2)) == (b"a", b"b")


def test_a_disk_that_fails_is_not_blamed_on_an_image(large):
    path = large(60, 20, 40_000)
    dataset = open_path(path)
    dataset.read(0)
    opened = next(int(fd.name) for fd in Path("/proc/self/fd").iterdir() if fd.resolve() == path)
    write_only = os.open(os.devnull, os.O_WRONLY)
    os.dup2(write_only, opened)
    os.close(write_only)
    with pytest.raises(OSError, match=r"Bad file descriptor") as raised:
        dataset.read(59)
    assert raised.value.errno == errno.EBADF
    assert [int.from_bytes(dataset.read(k)[:4], "big") for k in range(60)] == list(range(60))


def test_a_file_that_was_cut_meanwhile_stops_the_run(large):
    path = large(60, 20, 40_000)
    dataset = open_path(path)
    os.truncate(path, 100_000)
    with pytest.raises(Stopped, match=r"failed at 'large:40': large\.parquet, row group 2: "):
        read_image(dataset, 40, sample_row(dataset, 40))


class Elsewhere:
    """A file of the Hub: a source that is no PlacedFile."""

    def __init__(self, file):
        self._file = file

    def __getattr__(self, name):
        return getattr(self._file, name)


def test_damage_in_what_came_from_the_hub_stops_the_run(large):
    path = large(60, 20, 3_000, **PAGES_OF_8)
    spoil(path, 28, 3_000)
    dataset = ParquetDataSet([Elsewhere(file) for file in placed_files(path)], "s", "n")
    for _ in range(2):
        with pytest.raises(OSError, match=r"large\.parquet, row group 1: .") as raised:
            dataset.read(28)
        assert raised.value.errno == errno.EIO
        assert raised.value.errno not in OF_ONE_FILE
        assert "\n" not in raised.value.strerror
    assert int.from_bytes(dataset.read(45)[:4], "big") == 45


def test_a_file_that_vanished_is_not_blamed_on_an_image(write, tmp_path):
    path = write("a.parquet", label=[1])
    dataset = open_path(path)
    path.unlink()
    with pytest.raises(FileNotFoundError):
        dataset.read(0)
    assert not dataset.reachable()


def test_a_file_that_may_not_be_read(write):
    path = write("a.parquet", label=[1])
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("this user may read everything")
    with pytest.raises(DataError, match="Permission denied"):
        open_path(path)
