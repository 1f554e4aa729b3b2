"""Publishing where something lies: the same data, another version, what is not ours, a card, two commands at once."""

import errno
import hashlib
import shutil

import pytest
from hard_pictures import publish_options
from hard_set import verdict_on
from published import files_of, rows_of

from snellen.datasets import open_dataset
from snellen.errors import UsageError
from snellen.mining.log import append
from snellen.mining.publish import write as publish_write
from snellen.mining.publish.publish import publish


def test_again_writes_nothing_and_another_version_is_refused(hard, pictures, tmp_path):
    folder, images = hard
    options = publish_options(pictures)
    publish(folder, tmp_path / "out", options)
    before = files_of(tmp_path / "out")
    assert publish(folder, tmp_path / "out", options).written == "nothing"
    append(folder, [verdict_on(images[5], "drop", client=2)])
    with pytest.raises(UsageError, match="holds another version; nothing was written over"):
        publish(folder, tmp_path / "out", options)
    with pytest.raises(UsageError, match="holds another version"):
        publish(folder, tmp_path / "out", publish_options(pictures, form="coco"))
    assert files_of(tmp_path / "out") == before
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_what_is_not_ours_is_left_alone(hard, pictures, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.tex").write_text("years of work")
    with pytest.raises(UsageError, match="holds something else than this; nothing was written"):
        publish(hard[0], out, publish_options(pictures))
    assert files_of(out) == {"thesis.tex": b"years of work"}
    (out / "publish.json").write_text("{}")
    with pytest.raises(UsageError, match="holds something else"):
        publish(hard[0], out, publish_options(pictures))
    with pytest.raises(UsageError, match="there is a file"):
        publish(hard[0], out / "thesis.tex", publish_options(pictures))
    shutil.rmtree(out)
    out.mkdir()
    assert publish(hard[0], out, publish_options(pictures)).written == "all", "an empty folder is nobody's"


def test_what_comes_to_out_meanwhile_stays(hard, pictures, tmp_path, monkeypatch):
    out = tmp_path / "out"
    real = publish_write.WRITERS["parquet"]

    def slow(folder, samples, space):
        real(folder, samples, space)
        out.mkdir()
        (out / "mine").write_text("mine")

    monkeypatch.setitem(publish_write.WRITERS, "parquet", slow)
    with pytest.raises(UsageError, match="has come there meanwhile; nothing was written over"):
        publish(hard[0], out, publish_options(pictures))
    assert files_of(out) == {"mine": b"mine"}


def test_the_card_is_renewed_over_the_same_data(hard, pictures, tmp_path):
    folder, out = hard[0], tmp_path / "out"
    publish(folder, out, publish_options(pictures))
    before = files_of(out)
    name = open_dataset(pictures).name
    options = publish_options(pictures, licences=[f"{name}=CC-BY-4.0"], previous=str(out))
    assert publish(folder, out, options).written == "card"
    after = files_of(out)
    assert {key for key in after if after[key] != before.get(key)} == {"README.md", "publish.json", "changes.csv"}
    assert b"license: cc-by-4.0" in after["README.md"]
    assert publish(folder, out, publish_options(pictures)).written == "card"
    assert set(files_of(out)) == set(before), "what the card does not show any more is gone"
    (out / "README.md").write_text("my own words")
    with pytest.raises(UsageError, match="was edited since it was published"):
        publish(folder, out, options)
    assert (out / "README.md").read_text() == "my own words"


def test_a_card_that_is_half_renewed_is_renewed(hard, pictures, tmp_path, monkeypatch):
    from snellen.mining.publish import place as publish_place

    folder, out, real = hard[0], tmp_path / "out", publish_place.write_atomic
    publish(folder, out, publish_options(pictures))
    options = publish_options(pictures, previous=str(out))
    for step in range(4):
        count = 0

        def killed(path, data, step=step):
            nonlocal count
            count += 1
            if count > step:
                raise KeyboardInterrupt
            real(path, data)

        monkeypatch.setattr(publish_place, "write_atomic", killed)
        with pytest.raises(KeyboardInterrupt):
            publish(folder, out, options)
    monkeypatch.setattr(publish_place, "write_atomic", real)
    assert publish(folder, out, options).written == "card"
    assert publish(folder, out, options).written == "nothing"
    assert "## Changes" in (out / "README.md").read_text()


def test_where_there_are_no_locks(hard, pictures, tmp_path, monkeypatch):
    def none(*_):
        raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr("fcntl.flock", none)
    publish(hard[0], tmp_path / "out", publish_options(pictures))
    assert set(files_of(tmp_path / "out")) == {"README.md", "publish.json", "data/validation-00000-of-00001.parquet"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["hard", "out"]


def test_two_at_once(hard, pictures, tmp_path, monkeypatch):
    """The second is told, and the first one's data set is whole."""
    real = publish_write.WRITERS["parquet"]

    def meanwhile(folder, samples, space):
        monkeypatch.setitem(publish_write.WRITERS, "parquet", real)
        with pytest.raises(UsageError, match="another process is working"):
            publish(hard[0], tmp_path / "out", publish_options(pictures))
        real(folder, samples, space)

    monkeypatch.setitem(publish_write.WRITERS, "parquet", meanwhile)
    publish(hard[0], tmp_path / "out", publish_options(pictures))
    assert len(rows_of(tmp_path / "out")) == 23


def test_a_file_that_is_gone_or_cut_is_told(hard, pictures, tmp_path):
    out, options = tmp_path / "out", publish_options(pictures)
    record = publish(hard[0], out, options).record
    name = "data/validation-00000-of-00001.parquet"
    data = (out / name).read_bytes()
    assert record["files"] == {name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}}
    (out / name).write_bytes(data[:-100])
    with pytest.raises(UsageError, match=f"is damaged: '{name}' has .* of {len(data):,} bytes"):
        publish(hard[0], out, options)
    (out / name).unlink()
    with pytest.raises(UsageError, match=f"is damaged: '{name}' is not there"):
        publish(hard[0], out, publish_options(pictures, licences=[f"{open_dataset(pictures).name}=MIT"]))


def test_a_card_that_was_moved_away_is_written_anew(hard, pictures, tmp_path):
    out, options = tmp_path / "out", publish_options(pictures)
    publish(hard[0], out, options)
    card = (out / "README.md").read_bytes()
    (out / "README.md").rename(tmp_path / "aside.md")
    assert publish(hard[0], out, options).written == "card"
    assert (out / "README.md").read_bytes() == card


def test_what_changes_no_image_is_no_other_version(hard, pictures, tmp_path, monkeypatch):
    """Another version of the package; --convert where there is nothing to convert. A new verdict renews the card."""
    out = tmp_path / "out"
    publish(hard[0], out, publish_options(pictures))
    monkeypatch.setattr("importlib.metadata.version", lambda name: "9.9.9")
    assert publish(hard[0], out, publish_options(pictures, convert=True)).written == "card"
    assert "Made with Snellen 9.9.9" in (out / "README.md").read_text()
    assert publish(hard[0], out, publish_options(pictures, convert=True)).written == "nothing"
    for k in range(2):  # a second reviewer says the same: no row changes but for who decided
        append(hard[0], [verdict_on(hard[1][1], "drop", reviewer="bob", client=5, seq=k)])
    assert publish(hard[0], out, publish_options(pictures, convert=True)).written == "card"
    assert "Reviewers: 2." in (out / "README.md").read_text()
