"""What `mine` refuses, in one line and with nothing written over; and what it takes for the same hard set."""

import shutil
from dataclasses import replace

import pytest
import torch
from small_mining import (
    KEYS,
    OPTIONS,
    Other,
    expected,
    hard_of,
    mine,
)

import snellen
from snellen.engine.running import completed, prepare_model
from snellen.errors import DataError, RunMismatch, UsageError
from snellen.labels import ClassSpace
from snellen.mining import given
from snellen.mining.hardset import read
from snellen.store.labels import encode_labels

pytestmark = pytest.mark.usefixtures("few_zooms")


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"models": 1}, "miners: module/Sampling, module/Other there, module/Sampling here"),
        ({"data": 1}, "data: .*first.*second.* there, .*first.* here"),
        ({"miners_required": 1}, "miners_required: all there, 1 here"),
        ({"limit": 5}, "limit: all images there, 5 here"),
        ({"precision": "bf16"}, "precision: fp32 there, bf16 here"),
    ],
)
def test_a_hard_set_that_was_mined_otherwise_is_refused_and_left_as_it_is(change, what, data, models, mined, tmp_path):
    out = shutil.copytree(mined, tmp_path / "hard")
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    chosen, folders = models[: change.pop("models", 2)], data[: change.pop("data", 2)]
    with pytest.raises(RunMismatch, match=f"mined otherwise .{what}"):
        mine(chosen, folders, out, **change)
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


def test_where_no_image_is_hard_a_line_says_so_and_nothing_is_written_over(data, models, studies, mined, tmp_path):
    class Knowing(torch.nn.Module):
        """Answers every class at some view."""

        def forward(self, views):
            return torch.nn.functional.one_hot((views.sum(dim=(1, 2, 3)) * 1000).long() % len(KEYS), len(KEYS)).float()

    out = shutil.copytree(mined, tmp_path / "hard")
    before = {name: (out / name).read_bytes() for name in ("candidates.parquet", "mine.json")}
    with pytest.raises(UsageError, match=r"^no image of .* is hard: after module/Knowing none of 14 is left"):
        mine((*models[:2], Knowing()), data, out)
    assert {name: (out / name).read_bytes() for name in before} == before
    with pytest.raises(UsageError, match="no hard set was written"):
        mine(Knowing(), data, tmp_path / "new")
    with pytest.raises(UsageError, match=r"holds no hard set: no image of .* is hard: after module/Knowing"):
        read(tmp_path / "new")
    # What the message advises can be done: there is nothing to protect. A hard set that is there is protected.
    mining = mine(models[:2], data[0], tmp_path / "new", miners_required=1)
    assert hard_of(tmp_path / "new", data) == expected(studies, 2, (0,), 1)
    assert "refused" not in mining.record
    assert mining.record["configuration"]["miners"] == ["module/Sampling", "module/Other"]
    with pytest.raises(RunMismatch, match="mined otherwise"):
        mine(models[:1], data[0], tmp_path / "new", miners_required=1)


def test_where_all_images_are_hard_a_line_says_so_and_nothing_is_written_over(data, mined, tmp_path):
    class Stubborn(torch.nn.Module):
        """Answers a class that no image has."""

        def forward(self, views):
            return torch.eye(6)[5].expand(len(views), 6)

    with pytest.raises(UsageError, match=r"^all 14 images of .* are hard, and no hard set was written"):
        snellen.mine(Stubborn(), data, out=tmp_path, backend="torch", classes=(*KEYS, "none"))
    assert not (tmp_path / "candidates.parquet").exists()


def test_wrong_calls_are_told_before_anything_is_shown(data, models, tmp_path):
    def refused(error, match, *given, **options):
        with pytest.raises(error, match=match):
            mine(*given, tmp_path / "hard", **options)
        assert not (tmp_path / "hard").exists()

    refused(UsageError, "--miners-required 3: expected 1 … 2", models[:2], data, miners_required=3)
    refused(UsageError, "--miners-required 0", models[:2], data, miners_required=0)
    refused(UsageError, "at least two miners", models[0], data, leave_one_out=True)
    refused(UsageError, "limit=0", models[0], data, limit=0)
    refused(UsageError, "no directory", models[0], data, order=[tmp_path / "nothing"])
    refused(UsageError, "at least one data set", models[0], [])
    twin = shutil.copytree(data[1], tmp_path / "elsewhere" / data[1].name)
    refused(DataError, "both have an image 'kind-0/00.png' of 'second'", models[0], [data[1], twin])
    with pytest.raises(UsageError, match="the miners of a hard set have the same classes"):
        snellen.mine(["embedded/efficientnet_lite0", models[0]], data, out=tmp_path / "hard", **OPTIONS)


def test_the_same_in_other_words_is_the_same_hard_set(data, models, tmp_path, monkeypatch):
    names = [item.id for item in snellen.datasets.open_dataset(data[0]).items]
    csv = tmp_path / "labels.csv"
    csv.write_bytes(encode_labels(names, [[k % 3] for k in range(len(names))], ClassSpace.of_names(KEYS, "kinds")))
    out = tmp_path / "hard"
    monkeypatch.chdir(tmp_path)
    first = mine(models[:2], data[0], out, labels="labels.csv")
    again = mine(models[:2], data[0], out, labels=csv, miners_required=2)
    assert {**again.record, "configuration": 0, "sources": 0, "sessions": 0} == {
        **first.record,
        "configuration": 0,
        "sources": 0,
        "sessions": 0,
    }
    with pytest.raises(RunMismatch, match="miners_required: 2 there, 1 here"):
        mine(models[:2], data[0], out, labels=csv, miners_required=1)


def test_labels_that_there_are_not_and_a_miner_twice_are_refused(data, models, tmp_path, monkeypatch):
    with pytest.raises(DataError, match=r"no labels 'reel': first has own; or give a CSV"):
        mine(models[0], data[0], tmp_path / "hard", labels="reel")
    other = type("Sampling", (Other,), {})()
    with pytest.raises(UsageError, match="two miners are called module/Sampling"):
        mine([models[0], other], data[0], tmp_path / "hard")
    # A copy of a checkpoint under another name is the same network; with another normalisation it is another.
    made = prepare_model(models[0], completed("mine", OPTIONS))
    copies = {"a": {}, "b": {"source": "b", "notes": ("copied",)}, "c": {"mean": (0.1, 0.1, 0.1)}}
    monkeypatch.setattr(given, "expand_models", lambda text: [text])
    monkeypatch.setattr(
        given, "prepare_model", lambda text, _: replace(made, text=text, card=replace(made.card, **copies[text]))
    )
    assert [one.text for one in given.ready_models(["a", "c", "a"], completed("mine", {}))] == ["a", "c"]
    with pytest.raises(UsageError, match="b and a are the same network"):
        mine(["a", "c", "b"], data[0], tmp_path / "hard")
    assert not (tmp_path / "hard").exists()
