"""A prepared model that has changed since, what is said of one that was not measured, and what killed ones left."""

import json
import os
import shutil
import time

import pytest
from torch import nn

from snellen.classifiers import backends, convert, prepare
from snellen.classifiers.base import ModelCard, OwnTransform
from snellen.classifiers.convert import LEFT_OVER, build_entry
from snellen.classifiers.prepared import Prepared
from snellen.classifiers.quantise import _share
from snellen.errors import ModelError


def as_a_worker(prepared):
    """What a worker makes of what it is told."""
    return Prepared.from_json(json.loads(json.dumps(prepared.to_json())))


@pytest.mark.parametrize("backend", ["torch", "torch-compile"])
def test_a_checkpoint_that_changed_after_the_model_was_prepared_is_refused(backend, tiny_weights, tmp_path):
    from safetensors.torch import load_file, save_file

    weights = shutil.copy(tiny_weights, tmp_path / "w.safetensors")
    prepared = prepare(f"timm/lcnet_035@{weights},mean=0.5,std=0.5", backend="torch", batch_size=4)
    as_a_worker(prepared).classifier()
    state = load_file(weights)
    next(iter(state.values())).add_(1)
    save_file(state, tmp_path / "other.safetensors")
    (tmp_path / "other.safetensors").replace(weights)
    told = as_a_worker(prepared).to_json() | {"backend": backend}
    with pytest.raises(ModelError, match=r"^the weights of timm/lcnet_035@\S+ changed since it was prepared") as caught:
        Prepared.from_json(told).classifier()
    assert "\n" not in str(caught.value)
    assert prepared.card.weights[:8] in str(caught.value)


def test_a_function_that_gives_another_network_each_time_is_refused(tmp_path):
    """The rows of two workers would be those of two networks."""
    (tmp_path / "nets.py").write_text(
        "import torch\n"
        "def same():\n    torch.manual_seed(0)\n    return net()\n"
        "def net():\n    return torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), "
        "torch.nn.Linear(3, 1000))\n"
    )
    as_a_worker(prepare(f"{tmp_path / 'nets.py'}:same", backend="torch")).classifier()
    with pytest.raises(ModelError, match="changed since it was prepared"):
        as_a_worker(prepare(f"{tmp_path / 'nets.py'}:net", backend="torch")).classifier()


def test_prompts_that_changed_are_refused(tiny):
    prepared = prepare(tiny, backend="torch")
    told = prepared.to_json()
    told["card"]["inputs"] = [["classnames", "another hash"]]
    with pytest.raises(ModelError, match=r"^the class names or prompts of .* changed since it was prepared"):
        Prepared.from_json(told).module()


def test_a_module_whose_buffers_change_when_it_computes_is_the_same_module(tmp_path):
    """Its hash is of what it was before it was shown anything."""
    (tmp_path / "counts.py").write_text(
        "import torch\n"
        "class Counts(torch.nn.Module):\n"
        "    def __init__(self):\n        super().__init__()\n"
        "        self.register_buffer('calls', torch.zeros(1))\n"
        "    def forward(self, x):\n        self.calls += 1\n        return x.mean((2, 3)).repeat(1, 334)[:, :1000]\n"
        "def net():\n    return Counts()\n"
    )
    as_a_worker(prepare(f"{tmp_path / 'counts.py'}:net", backend="torch")).classifier()


def test_a_gpu_s_batch_size_that_nobody_measured_is_said_to_be_a_guess(tiny, monkeypatch):
    monkeypatch.setattr(backends, "lacking", lambda *_: None)
    monkeypatch.setattr(backends, "has_gpu", lambda: True)

    def suggested(model, **options):
        return [note for note in prepare(model, **options).card.notes if "snellen bench" in note]

    assert suggested(tiny) == [f"batches of 324 views, unmeasured: `snellen bench {tiny}` finds the best"]
    assert suggested(tiny, batch_size=100) == []
    assert suggested(tiny, device="cpu", backend="torch") == []
    module = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2))
    assert suggested(module, mean=0.5, std=0.25, classes=["cat", "dog"]) == [], "bench takes specs"


CARD = ModelCard(
    *("made up", "0" * 64, 224, OwnTransform(224, 256, "bicubic")),
    *((0.5, 0.4, 0.3), (0.2, 0.3, 0.4), "kinds", ("a", "b"), 1, 0),
)


def test_what_killed_preparations_left_is_removed_a_day_later(tmp_path, monkeypatch):
    """And nothing else: neither what is younger, nor anything of another name."""
    monkeypatch.setenv("SNELLEN_CACHE", str(tmp_path))
    models = tmp_path / "models"
    old = [
        models / ".0123abc.89abcdef",
        models / "0123abc" / ".openvino.01234567",
        tmp_path / "modules" / ".f.00000000",
    ]
    kept = [models / ".0123abc.fedcba98", models / "0123abc" / ".int8-77.01234567", models / "0123abc" / "openvino"]
    for folder in (*old, *kept):
        folder.mkdir(parents=True)
        (folder / "model.bin").write_bytes(b"half")
    for folder in (*old, kept[2]):
        os.utime(folder, (time.time() - LEFT_OVER - 60,) * 2)
    build_entry(CARD, models / "4567def")
    assert not any(folder.exists() for folder in old)
    assert all((folder / "model.bin").exists() for folder in kept)
    assert sorted(path.name for path in models.iterdir()) == [".0123abc.fedcba98", "0123abc", "4567def"]


def test_a_preparation_that_goes_on_is_left_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("SNELLEN_CACHE", str(tmp_path))
    with convert._whole(tmp_path / "models" / "one") as folder:
        build_entry(CARD, tmp_path / "models" / "two")
        (folder / "card.json").write_text("{}")
    assert sorted(path.name for path in (tmp_path / "models").iterdir()) == ["one", "two"]


def test_the_note_of_int8_has_wilsons_interval():
    import numpy as np
    from scipy.stats import binomtest

    for count, n in ((0, 16), (9, 16), (300, 300), (263, 300)):
        low, high = binomtest(count, n).proportion_ci(method="wilson")
        said = f"{count} of {n} views ({count / n:.2%} [{low:.2%}, {high:.2%}])"
        assert _share(np.arange(n) < count, " views") == said
