import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from plain_memo import plain_memo
from timm.layers import BatchNormAct2d
from torch import nn
from torch.nn import functional

from snellen.classifiers.sources import load
from snellen.classifiers.spec import parse_spec
from snellen.errors import ModelError, UsageError
from snellen.labels import ClassMap
from snellen.tta.depthwise import StridedDepthwiseInFloat32
from snellen.tta.memo import Memo, marginal_entropy
from snellen.tta.memo_options import MemoOptions, memo_preset, parse_memo
from snellen.tta.mixing import MixedStatistics

MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.3, 0.25)
SIZE, CLASSES = 40, 11
# Large enough a step to change the answers of a small network.
OPTIONS = MemoOptions(views=4, lr=0.05)


def small_network(norm=nn.BatchNorm2d, head=nn.Flatten):
    """Convolutions with and without groups, batch norm with statistics that are not its inputs', a linear head."""
    torch.manual_seed(1)
    network = nn.Sequential(
        nn.Conv2d(3, 16, 3, stride=2, bias=False),
        norm(16),
        nn.ReLU6(),
        nn.Conv2d(16, 16, 3, groups=16, padding=1, stride=2, bias=False),
        norm(16),
        nn.SiLU(),
        nn.Conv2d(16, 24, 1),
        norm(24),
        nn.AdaptiveAvgPool2d(1),
        head(),
        nn.Dropout(0.5),
        nn.Linear(24, CLASSES),
    )
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            for value in (layer.running_mean, layer.weight.data, layer.bias.data):
                value.normal_(0.5, 0.3)
            layer.running_var.uniform_(0.3, 2)
    return network.eval().requires_grad_(False)


class FlattenAndNorm(nn.Module):
    """Batch norm of vectors: not among those whose statistics are mixed."""

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(24)

    def forward(self, x):
        return self.norm(x.flatten(1))


NETWORKS = {
    "batch norm": small_network,
    "batch norm with activation": lambda: small_network(BatchNormAct2d),
    "none": lambda: small_network(lambda channels: nn.GroupNorm(4, channels)),
    "of vectors too": lambda: small_network(head=FlattenAndNorm),
}


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Networks this small only wait for a second thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def photographs(examples_dir):
    return [Image.open(path).convert("RGB") for path in sorted(examples_dir.glob("*.jpg"))[:6]]


def memo(network, options=OPTIONS, **settings):
    return Memo(network, options, **({"mean": MEAN, "std": STD, "size": SIZE, "compiled": False} | settings))


def close(one, other, tolerance=1e-5):
    return np.abs(one - other).max() <= tolerance * (1 + np.abs(other).max())


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize(
    "options",
    [
        OPTIONS,
        replace(OPTIONS, prior_strength=None),
        replace(OPTIONS, prior_strength=0, views=1),
        replace(OPTIONS, prior_strength=1.5, flip=True, scale=(0.5, 0.6)),
        replace(OPTIONS, augment="augmix", flip=True),
    ],
    ids=["rrc", "stored", "batch", "mixed", "augmix"],
)
def test_answers_of_the_plain_loop(network, options, photographs):
    model = NETWORKS[network]()
    adapted = memo(model, options)
    moved = memo(model, replace(options, lr=0.0))
    for k, image in enumerate(photographs[:2]):
        answer = adapted.adapt(image, k)
        assert close(answer.logits, plain_memo(model, image, options, k, SIZE, MEAN, STD))
        assert not close(answer.logits, moved.adapt(image, k).logits, 1e-3)
        assert answer.logits.dtype == np.float32
        assert min(answer.augment_ms, answer.cut_ms, answer.adapt_ms) > 0


@pytest.mark.parametrize("network", NETWORKS)
def test_a_batch_of_images_is_each_by_itself(network, photographs):
    adapted = memo(NETWORKS[network]())
    batch = adapted.adapt_batch(photographs, range(len(photographs)))
    for k, image in enumerate(photographs):
        assert close(batch[k].logits, adapted.adapt(image, k).logits)


def test_in_float64_nothing_but_rounding_is_left(photographs):
    """Of one image alone and of a batch, against the plain loop in float64."""
    model = small_network().double()
    adapted = memo(model)
    both = adapted.adapt_batch(photographs[:2], (0, 1))
    for key, image in enumerate(photographs[:2]):
        one = adapted.adapt(image, key).logits
        assert one.dtype == both[key].logits.dtype == np.float64
        assert np.abs(one - both[key].logits).max() < 1e-12
        assert np.abs(one - plain_memo(model, image, OPTIONS, key, SIZE, MEAN, STD)).max() < 1e-10
        single = memo(small_network()).adapt(image, key).logits
        assert 0 < np.abs(single - one).max() < 1e-3


def test_a_batch_that_does_not_fit_is_halved(photographs, monkeypatch):
    adapted = memo(small_network())
    one_by_one = adapted.adapt_many(photographs, range(6))
    sizes = []

    def limited(images, keys):
        sizes.append(len(images))
        if len(images) > 2:
            raise torch.OutOfMemoryError
        return [adapted.adapt(image, key) for image, key in zip(images, keys, strict=True)]

    monkeypatch.setattr(adapted, "adapt_batch", limited)
    monkeypatch.setattr(adapted, "_device", torch.device("meta"))  # any but the CPU; nothing is put on it
    monkeypatch.setattr(adapted, "adapt", lambda _, k: one_by_one[k])
    assert adapted.adapt_many(photographs, range(6)) == one_by_one
    assert sizes == [6, 4, 2, 2, 2]
    sizes.clear()
    assert adapted.adapt_many(photographs, range(6)) == one_by_one
    assert sizes == [2, 2, 2], "what did not fit once is not tried again"


def test_order_and_company_change_nothing(photographs):
    adapted = memo(small_network())
    forward = {k: adapted.adapt(photographs[k], f"{k}").logits for k in range(6)}
    for k in (5, 2, 0, 2):
        assert np.array_equal(adapted.adapt(photographs[k], f"{k}").logits, forward[k])
    many = memo(small_network()).adapt_many(photographs[::-1], [f"{k}" for k in range(5, -1, -1)])
    assert all(np.array_equal(many[5 - k].logits, forward[k]) for k in range(6))


@pytest.mark.parametrize("network", NETWORKS)
def test_the_network_is_as_it_was(network, photographs):
    model = NETWORKS[network]()
    state = {name: value.clone() for name, value in model.state_dict().items()}
    held = {name: value.data_ptr() for name, value in model.state_dict().items()}
    forwards = nn.BatchNorm2d.forward, BatchNormAct2d.forward, functional.batch_norm
    view = torch.rand(2, 3, SIZE, SIZE)
    before = model(view)
    adapted = memo(model)
    adapted.adapt(photographs[0], 0)
    adapted.adapt_batch(photographs[:2], (0, 1))
    after = model.state_dict()
    assert all(torch.equal(after[name], value) for name, value in state.items())
    assert {name: value.data_ptr() for name, value in after.items()} == held
    assert forwards == (nn.BatchNorm2d.forward, BatchNormAct2d.forward, functional.batch_norm)
    assert not any(p.requires_grad or p.grad is not None for p in model.parameters())
    assert torch.equal(model(view), before)


def test_the_callers_module_is_left_alone(photographs):
    """Its mode, its place, its values, the precision of products; and what becomes of it later changes nothing."""
    model = small_network().train()
    adapted = memo(model)
    expected = adapted.adapt(photographs[0], 0).logits
    assert np.array_equal(expected, memo(small_network()).adapt(photographs[0], 0).logits)
    memo(model, device="meta")  # a device on which nothing is: moving there would be the end of the values
    assert all(part.training for part in model.modules())
    assert {value.device.type for value in model.state_dict().values()} == {"cpu"}
    for value in model.state_dict().values():
        value.zero_()
    assert np.array_equal(adapted.adapt(photographs[0], 0).logits, expected)


def precision_of_products():
    return torch.backends.cudnn.allow_tf32, torch.get_float32_matmul_precision()


class Noting(nn.Module):
    """Notes how products are computed while it runs."""

    def __init__(self, network):
        super().__init__()
        self.network, self.seen = network, []

    def forward(self, x):
        self.seen.append(precision_of_products())
        return self.network(x)


@pytest.mark.parametrize("matrices", ["medium", "high", "highest"])
def test_products_are_of_whole_float32_only_meanwhile(matrices, photographs):
    before = precision_of_products()
    model = Noting(small_network())
    adapted = memo(model)
    try:
        torch.backends.cudnn.allow_tf32 = True
        torch.set_float32_matmul_precision(matrices)
        adapted.adapt(photographs[0], 0)
        adapted.adapt_batch(photographs[:1], [0])
        assert precision_of_products() == (True, matrices)
    finally:
        torch.backends.cudnn.allow_tf32, _ = before[0], torch.set_float32_matmul_precision(before[1])
    assert set(adapted._module.seen) == {(False, "highest")}
    assert not model.seen


def test_entropy_of_the_classes_that_take_part(photographs):
    model = small_network()
    classes = ClassMap("some", ((7,), (2, 3), (9,)), CLASSES)
    got = memo(model, classes=classes).adapt(photographs[0], 0).logits
    assert got.shape == (CLASSES,)
    assert close(got, plain_memo(model, photographs[0], OPTIONS, 0, SIZE, MEAN, STD, classes=(2, 3, 7, 9)))
    assert not close(got, plain_memo(model, photographs[0], OPTIONS, 0, SIZE, MEAN, STD), 1e-3)


def test_bf16_is_near(photographs):
    model = small_network()
    got = memo(model, precision="bf16").adapt(photographs[0], 0).logits
    expected = plain_memo(model, photographs[0], OPTIONS, 0, SIZE, MEAN, STD)
    assert got.dtype == np.float32
    assert close(got, expected, 0.05)
    assert not close(got, expected, 1e-6)


@pytest.mark.parametrize(
    ("settings", "kept"),
    [
        ({"groups": 8, "stride": 2}, True),
        ({"groups": 8, "stride": (1, 2), "padding": 1}, True),
        ({"groups": 8, "stride": 2, "padding": "valid", "dilation": 2}, True),
        ({"groups": 8}, False),
        ({"groups": 2, "stride": 2}, False),
        ({"stride": 2}, False),
    ],
)
def test_strided_depthwise_convolutions_stay_in_float32(settings, kept):
    layer = nn.Conv2d(8, 8, 3, **settings)
    x = torch.randn(2, 8, 9, 9)
    exact = layer(x)
    with torch.autocast("cpu", torch.bfloat16), StridedDepthwiseInFloat32():
        got = layer(x)
    assert got.dtype == (torch.float32 if kept else torch.bfloat16)
    assert torch.equal(got, exact) == kept


LOGITS = arrays(np.float64, (4, 5), elements=st.floats(-20, 20))


@given(LOGITS)
def test_marginal_entropy(logits):
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    p = p.mean(0)
    assert float(marginal_entropy(torch.from_numpy(logits))) == pytest.approx(-(p * np.log(p)).sum(), abs=1e-9)


@pytest.mark.parametrize(("gap", "expected"), [(0, math.log(2)), (1e4, math.log(2)), (1e30, math.log(2))])
def test_marginal_entropy_of_certain_views(gap, expected):
    logits = torch.tensor([[gap, 0.0], [0.0, gap]], requires_grad=True)
    entropy = marginal_entropy(logits)
    assert entropy.item() == pytest.approx(expected, rel=1e-6)
    assert torch.autograd.grad(entropy, logits)[0].isfinite().all()


@pytest.mark.parametrize("shape", [(1, 5, 1, 1), (1, 5, 7, 7), (3, 5, 20, 9), (64, 5, 14, 14)])
@pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last])
def test_mixed_statistics_far_from_zero(shape, memory):
    """Means thousands of deviations away: a variance from plain sums of squares would be lost in float32."""
    torch.manual_seed(0)
    x = (torch.randn(shape) * 0.01 + torch.linspace(-50, 50, 5)[:, None, None]).contiguous(memory_format=memory)
    mean, var = torch.linspace(-49, 49, 5), torch.full((5,), 1e-4)
    with MixedStatistics(3):
        got = functional.batch_norm(x, mean, var, eps=1e-9)
    exact = x.double()
    spread = exact.var((0, 2, 3), unbiased=True) if x[:, 0].numel() > 1 else torch.zeros(5)
    mixed_mean, mixed_var = 0.75 * mean + 0.25 * exact.mean((0, 2, 3)), 0.75 * var + 0.25 * spread
    expected = (exact - mixed_mean[:, None, None]) / (mixed_var[:, None, None] + 1e-9).sqrt()
    assert (got - expected).abs().max() < 1e-3 * expected.abs().max()


def test_mixing_leaves_the_rest_alone():
    x, layer = torch.randn(4, 3, 5, 5), nn.BatchNorm2d(3)
    bare = nn.BatchNorm2d(3, track_running_stats=False).eval()
    with MixedStatistics(16):
        assert torch.equal(bare(x), functional.batch_norm(x, None, None, bare.weight, bare.bias, training=True))
        trained = layer(x)
    assert torch.equal(trained, functional.batch_norm(x, None, None, training=True))
    layer.eval()
    outside = layer(x)
    assert torch.equal(outside, functional.batch_norm(x, layer.running_mean, layer.running_var))
    with MixedStatistics(16):
        assert not torch.equal(layer(x), outside)


@pytest.mark.parametrize(
    ("dtype", "precision", "words"),
    [(torch.bfloat16, "bf16", "bfloat16"), (torch.float16, "fp32", "float16"), (torch.float32, "fp16", "fp16")],
)
def test_what_it_cannot_adapt(dtype, precision, words):
    with pytest.raises(ModelError, match=words) as raised:
        memo(small_network().to(dtype), precision=precision)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("failure", [RuntimeError("no compiler"), ImportError()])
def test_without_a_compiler_it_runs_eagerly(failure, photographs, monkeypatch):
    def unable(function, **_):
        def fail(*_):
            raise failure

        return fail

    monkeypatch.setattr(torch, "compile", unable)
    adapted = memo(small_network(), compiled=True)
    with pytest.warns(RuntimeWarning, match=f"eagerly.*{str(failure) or 'ImportError'}"):
        got = adapted.adapt(photographs[0], 0).logits
    assert np.array_equal(got, memo(small_network()).adapt(photographs[0], 0).logits)


def test_a_process_may_adapt_any_number_of_networks(photographs, monkeypatch):
    """The step of each is compiled once, however many there are, and equal ones share it."""
    compile_ = torch.compile
    graphs = []

    def backend(graph, _):
        graphs.append(graph)
        return graph.forward

    monkeypatch.setattr(
        torch, "compile", lambda step, *, options, **settings: compile_(step, backend=backend, **settings)
    )
    for number in range(1, 11):
        layers = (nn.Flatten(), nn.Linear(3 * SIZE * SIZE, CLASSES), *[nn.ReLU()] * number)
        memo(nn.Sequential(*layers), compiled=True).adapt(photographs[0], 0)
        adapted = memo(nn.Sequential(*layers), compiled=True)
        for k in (0, 1):
            adapted.adapt(photographs[k], k)
        assert len(graphs) == number


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_compiled(precision, photographs):
    adapted = memo(small_network(BatchNormAct2d), compiled=True, precision=precision)
    eager = memo(small_network(BatchNormAct2d), precision=precision)
    for k, image in enumerate(photographs[:3]):
        tolerance = 1e-5 if precision == "fp32" else 0.05
        assert close(adapted.adapt(image, k).logits, eager.adapt(image, k).logits, tolerance)


@pytest.mark.slow
def test_the_shipped_network(photographs):
    loaded = load(parse_spec("embedded/efficientnet_lite0"))
    options = MemoOptions(views=2)
    adapted = Memo(loaded.module, options, mean=loaded.mean, std=loaded.std, compiled=False)
    for k, image in enumerate(photographs[:2]):
        got = adapted.adapt(image, k).logits
        expected = plain_memo(loaded.module, image, options, k, 224, loaded.mean, loaded.std)
        assert close(got, expected, 1e-4)
        assert got.argmax() == expected.argmax()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("memo-rrc", MemoOptions("rrc", 16, 0.00025, 16, (0.08, 1.0), False)),
        ("memo-augmix", MemoOptions("augmix", 16, flip=True)),
        ("memo-augmix,flip=no", MemoOptions("augmix", 16, flip=False)),
        ("memo-rrc+flip", MemoOptions("rrc", 16, flip=True)),
        ("memo-rrc,k=3,lr=1e-3,prior=8,scale=0.5:0.9", MemoOptions("rrc", 3, 0.001, 8, (0.5, 0.9))),
        ("memo-rrc,prior=none,preset=released", MemoOptions("rrc", 64, prior_strength=None)),
        ("memo-rrc,k=8,preset=released+flip", MemoOptions("rrc", 8, flip=True)),
        ("memo-augmix,flip=no,seed=3", MemoOptions("augmix", 16, flip=False, seed=3)),
    ],
)
def test_settings_as_text(text, expected):
    assert parse_memo(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "memo",
        "memo-zoom",
        "memo-rrc,",
        "memo-rrc,k",
        "memo-rrc,k=",
        "memo-rrc,k=1.5",
        "memo-rrc,k=0",
        "memo-rrc,k=2,k=3",
        "memo-rrc,seed=a",
        "memo-rrc,views=3",
        "memo-rrc,lr=-1",
        "memo-rrc,lr=nan",
        "memo-rrc,lr=inf",
        "memo-rrc,prior=-1",
        "memo-rrc,prior=inf",
        "memo-rrc,scale=0:1",
        "memo-rrc,scale=0.5",
        "memo-rrc,scale=0.6:0.5",
        "memo-rrc,scale=0.6:1.5",
        "memo-rrc,flip=maybe",
        "memo-rrc,preset=mine",
        "memo-rrc+flop",
    ],
)
def test_settings_that_are_none(text):
    with pytest.raises(UsageError) as raised:
        parse_memo(text)
    assert "\n" not in str(raised.value)


def test_presets_are_the_published_ones():
    paper, released = memo_preset(), memo_preset("released")
    assert (paper.views, released.views) == (16, 64)
    assert replace(released, views=16) == paper == MemoOptions("rrc", 16, 0.00025, 16, (0.08, 1.0), False)
