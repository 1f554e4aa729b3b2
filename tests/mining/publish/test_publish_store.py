"""Publishing into a store, which renames nothing: the card comes last, and the same command goes on."""

import pytest
from hard_pictures import publish_options
from hard_set import verdict_on
from published import judged_pictures

from snellen.datasets import open_dataset
from snellen.errors import DataError, Stopped, UsageError
from snellen.files import read_bytes
from snellen.mining.log import append
from snellen.mining.publish import write as publish_write
from snellen.mining.publish.publish import publish
from snellen.places import place


def lose_the_third_file(monkeypatch):
    """The store goes away when the third file is put there, once."""
    from fsspec.implementations.memory import MemoryFileSystem

    real, count = MemoryFileSystem.put_file, 0

    def broken(self, *arguments, **keywords):
        nonlocal count
        count += 1
        if count == 3:
            raise OSError(5, "the network is gone")
        return real(self, *arguments, **keywords)

    monkeypatch.setattr(MemoryFileSystem, "put_file", broken)


def test_into_a_store(hard, pictures, tmp_path, monkeypatch):
    from fsspec.implementations.memory import MemoryFileSystem

    MemoryFileSystem.store.clear()
    monkeypatch.setenv("SNELLEN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(publish_write, "SHARD_BYTES", 20_000)
    out, options = place("memory://bucket/out"), publish_options(pictures)
    monkeypatch.setattr("snellen.trouble.PATIENCE_SECONDS", 0.0)
    lose_the_third_file(monkeypatch)
    with pytest.raises(Stopped):
        publish(hard[0], out, options)
    with pytest.raises(DataError, match="only a part of"):
        open_dataset(f"parquet/{out}")
    assert not any(name.endswith("README.md") for name in MemoryFileSystem.store)
    publish(hard[0], out, options)
    dataset = open_dataset(f"parquet/{out}")
    assert len(dataset.items) == 23
    assert read_bytes(out / "README.md").startswith(b"---\n")
    assert not any(".publishing" in name for name in MemoryFileSystem.store)
    assert publish(hard[0], out, options).written == "nothing"
    assert not list((tmp_path / "cache" / "publishing").rglob("*.parquet"))
    taken = place("memory://bucket/taken")
    MemoryFileSystem().pipe_file("memory://bucket/taken/x", b"x")
    with pytest.raises(UsageError, match="holds something else"):
        publish(hard[0], taken, options)


def test_a_copy_into_a_store_goes_on_with_the_same_data_alone(hard, pictures, tmp_path, monkeypatch):
    """It is stopped, the review changes, and the same command would leave files of two data sets side by side."""
    from fsspec.implementations.memory import MemoryFileSystem

    MemoryFileSystem.store.clear()
    monkeypatch.setenv("SNELLEN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(publish_write, "SHARD_BYTES", 20_000)
    monkeypatch.setattr("snellen.trouble.PATIENCE_SECONDS", 0.0)
    out, options = place("memory://mixed/out"), publish_options(pictures)
    lose_the_third_file(monkeypatch)
    with pytest.raises(Stopped):
        publish(hard[0], out, options)
    before = set(MemoryFileSystem.store)
    append(hard[0], [verdict_on(hard[1][k], "drop", client=2, seq=k) for k in range(5, 20)])
    with pytest.raises(UsageError, match="holds a part of another data set; remove it, or choose another -o"):
        publish(hard[0], out, options)
    assert set(MemoryFileSystem.store) == before
    # Nor does it go on where something else has come.
    judged_pictures(tmp_path / "again", pictures)
    MemoryFileSystem().pipe_file("memory://mixed/out/data/other.parquet", b"x")
    with pytest.raises(UsageError, match="holds a part of another data set"):
        publish(tmp_path / "again", out, options)
