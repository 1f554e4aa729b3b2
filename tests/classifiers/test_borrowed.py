"""PyTorch's settings and a caller's module are left as they were found."""

import threading
import warnings
from types import MethodType

import numpy as np
import pytest
import torch

from snellen.classifiers import prepare
from snellen.classifiers.borrowed import PRODUCTS, evaluating, stand_in, whole_float32
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


@pytest.fixture
def newer_names(request):
    """Settings by PyTorch's newer names, under which the older ones refuse to be read, until the test is over."""
    before = [torch.backends.fp32_precision, *(product.fp32_precision for product in PRODUCTS)]
    request.param()
    yield
    torch.backends.fp32_precision = before[0]
    torch.backends.cudnn.allow_tf32 = True
    torch.set_float32_matmul_precision("highest")
    for product, value in zip(PRODUCTS, before[1:], strict=True):
        product.fp32_precision = value


def all_to_tf32():
    for product in PRODUCTS:
        product.fp32_precision = "none"
    torch.backends.fp32_precision = "tf32"


def convolutions_apart():
    torch.backends.cudnn.conv.fp32_precision = "tf32"
    torch.backends.cudnn.rnn.fp32_precision = "ieee"


@pytest.mark.parametrize("newer_names", [all_to_tf32, convolutions_apart], indirect=True)
def test_the_newer_settings_come_back_too(newer_names):
    with pytest.raises(RuntimeError, match="mix"):
        settings()
    before = [product.fp32_precision for product in PRODUCTS]
    with whole_float32():
        assert {product.fp32_precision for product in PRODUCTS} == {"ieee"}
        assert settings() == (False, False, "highest"), "PyTorch's compiler reads these"
    assert [product.fp32_precision for product in PRODUCTS] == before
    with pytest.raises(RuntimeError, match="mix"):
        settings()


def test_threads_that_overlap_leave_the_settings_as_they_were(fast_products):
    """The one that came first goes first, while the other still computes."""
    inside, left, ended = threading.Event(), threading.Event(), []

    def second():
        with whole_float32():
            inside.set()
            left.wait(30)
            ended.append(settings())

    thread = threading.Thread(target=second)
    with whole_float32():
        thread.start()
        inside.wait(30)
    left.set()
    thread.join()
    assert ended == [(False, False, "highest")]
    assert settings() == fast_products


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


class Merging(torch.nn.Linear):
    """Adds an update to its weight for evaluation, in place, and takes it away for training, as LoRA's layers do."""

    merged = False

    def train(self, mode=True):
        super().train(mode)
        if mode == self.merged:
            self.weight.data += -1.0 if mode else 1.0
            self.merged = not mode
        return self


def test_layers_that_rewrite_their_weights_do_so_on_a_copy():
    model = torch.nn.Sequential(Merging(3, 2))
    before = model[0].weight.detach().clone()
    copied = stand_in(model)
    assert torch.equal(copied[0].weight, before + 1)
    assert torch.equal(model[0].weight, before)
    assert not model[0].merged


def normed(norm):
    """A layer whose weight is a result, as it is after a forward pass."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # they are deprecated, and still in use
        layer = norm(torch.nn.Linear(3, 2))
    layer(torch.ones(1, 3))
    return layer.eval()


def tied():
    pair = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.Linear(3, 3))
    pair[1].weight = pair[0].weight
    return pair


def of_inference():
    with torch.inference_mode():
        return torch.nn.Linear(3, 2)


def with_another_forward():
    model = torch.nn.Linear(3, 2)
    model.forward = MethodType(lambda self, x: torch.nn.Linear.forward(self, x) * 2, model)
    return model


@pytest.mark.parametrize(
    "make",
    [
        lambda: normed(torch.nn.utils.weight_norm),
        lambda: normed(torch.nn.utils.spectral_norm),
        lambda: torch.nn.utils.parametrizations.spectral_norm(torch.nn.Linear(3, 2)).eval(),
        tied,
        of_inference,
        with_another_forward,
        lambda: torch.nn.DataParallel(torch.nn.Linear(3, 2)),
    ],
    ids=["weight norm", "spectral norm", "parametrized", "tied", "of inference", "another forward", "DataParallel"],
)
def test_what_is_copied_answers_the_same(make):
    model, x = make(), torch.linspace(-1, 1, 12).view(4, 3)
    copied = stand_in(model)
    assert torch.equal(copied(x), model(x))
    assert len(list(copied.parameters())) == len(list(model.parameters()))


def test_parameters_of_a_type_of_their_own_keep_it():
    class Packed(torch.nn.Parameter):
        pass

    model = torch.nn.Linear(3, 2)
    model.weight = Packed(model.weight.data)
    assert type(stand_in(model).weight) is Packed


def test_a_function_that_calls_the_callers_module_is_refused():
    """The copy would run it in its mode: with dropout."""
    model = Watching()
    inner = model.forward
    model.forward = lambda x: inner(x) * 2
    with pytest.raises(ModelError, match="the function forward of the Watching calls the Watching"):
        stand_in(model)


def test_lazy_layers_are_refused():
    with pytest.raises(ModelError, match="without a shape"):
        stand_in(torch.nn.Sequential(torch.nn.LazyLinear(3)))
