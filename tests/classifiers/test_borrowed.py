"""PyTorch's settings and a caller's module are left as they were found."""

import threading

import numpy as np
import pytest
import torch

from snellen.classifiers import prepare
from snellen.classifiers.borrowed import evaluating, stand_in
from snellen.errors import ModelError


def settings():
    return (
        torch.backends.cudnn.allow_tf32,
        torch.backends.cuda.matmul.allow_tf32,
        torch.get_float32_matmul_precision(),
    )


class Watching(torch.nn.Module):
    """Three classes; notes the settings and its mode as it runs, and counts in a buffer, as some networks do."""

    noted = ()

    def __init__(self):
        super().__init__()
        self.body = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 32, 32), torch.nn.BatchNorm2d(4), torch.nn.Dropout(0.5))
        self.head = torch.nn.Linear(4, 3)
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x):
        Watching.noted += ((settings(), self.body[2].training),)
        self.calls += 1
        return self.head(self.body(x).mean((2, 3)))


@pytest.fixture
def fast_products():
    """The settings of a caller who wants quick products, until the test is over."""
    before = settings()
    torch.backends.cudnn.allow_tf32 = True
    torch.set_float32_matmul_precision("high")
    yield settings()
    torch.backends.cudnn.allow_tf32 = before[0]
    torch.set_float32_matmul_precision(before[2])


def test_eager_pytorch_leaves_settings_and_module_alone(fast_products, tmp_path, monkeypatch):
    monkeypatch.setenv("SNELLEN_CACHE", str(tmp_path))
    monkeypatch.setattr(Watching, "noted", ())
    torch.manual_seed(0)
    model = Watching().train()
    model.body[1].eval()
    model.head.bias.requires_grad_(False)
    modes = [part.training for part in model.modules()]
    state = {name: value.clone() for name, value in model.state_dict().items()}
    held = [(id(p), p.data_ptr(), p.dtype, p.device, p.requires_grad) for p in model.parameters()]
    prepared = prepare(model, backend="torch", device="cpu", mean=0.5, std=0.5, classes=["a", "b", "c"])
    classifier = prepared.classifier()
    views = np.random.default_rng(0).integers(0, 256, (4, 224, 224, 3), np.uint8)
    found = classifier.logits(views)
    classifier.embed(views)
    prepared.module().to("meta")  # where nothing is: had it been the caller's, its values would be gone
    assert settings() == fast_products
    assert {told[0] for told, _ in Watching.noted[-2:]} == {False}
    assert {told[2] for told, _ in Watching.noted[-2:]} == {"highest"}
    assert not any(training for _, training in Watching.noted)
    assert [part.training for part in model.modules()] == modes
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert [(id(p), p.data_ptr(), p.dtype, p.device, p.requires_grad) for p in model.parameters()] == held
    with torch.inference_mode(), evaluating(model):
        expected = model((torch.from_numpy(views).permute(0, 3, 1, 2) / 255 - 0.5) / 0.5)
    assert np.abs(found - expected.numpy()).max() < 1e-5


def test_modes_come_back_after_an_error():
    model = Watching().train()
    with evaluating(model):
        assert not any(part.training for part in model.modules())
    with pytest.raises(ZeroDivisionError), evaluating(model):
        raise ZeroDivisionError
    assert all(part.training for part in model.modules())


def test_a_stand_in_reads_the_same_memory():
    model = Watching()
    copied = stand_in(model)
    assert [p.data_ptr() for p in copied.parameters()] == [p.data_ptr() for p in model.parameters()]
    assert copied.calls.data_ptr() != model.calls.data_ptr()
    copied.double()
    assert {p.dtype for p in model.parameters()} == {torch.float32}


def test_a_module_that_cannot_be_copied_is_refused():
    model = Watching()
    model.lock = threading.Lock()
    with pytest.raises(ModelError, match="cannot be copied"):
        stand_in(model)
