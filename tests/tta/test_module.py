"""`ZoomTTA` against views that are cut and merged by hand, with every kind of image it takes."""

import copy
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from stopping import stop_of

import snellen
from snellen.errors import ModelError, UsageError
from snellen.tta.given import as_pictures
from snellen.tta.merge import merged, parse_merge
from snellen.tta.policy import Policy
from snellen.tta.views import view_set
from snellen.zoom import Grid
from snellen.zoom.render import render

CLASSES = 7


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    body = (torch.nn.Conv2d(3, 8, 16, 16), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(8 * 14 * 14, CLASSES))
    return torch.nn.Sequential(*body)


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    sizes = ((300, 260), (256, 340), (500, 333))
    return [
        Image.fromarray(rng.integers(0, 256, (9, 9, 3), np.uint8)).resize(size, Image.Resampling.BILINEAR)
        for size in sizes
    ]


def by_hand(network, images, rules, merge, mean=0.5, std=0.5):
    with torch.no_grad():
        views = [torch.from_numpy(render(image, rules)).permute(0, 3, 1, 2).float() / 255 for image in images]
        probs = torch.stack([network((view - mean) / std).softmax(1) for view in views])
    scores = merged(probs, parse_merge(merge))
    return probs, scores / scores.sum(1, keepdim=True)


@pytest.mark.parametrize("merge", ["mean", "max", "gmean", "vote", "confident-3", "zero"])
@pytest.mark.parametrize("views", ["10crop", "paper:224+flip"])
def test_is_the_merge_of_the_views(network, images, merge, views):
    tta = snellen.ZoomTTA(network, views, merge, mean=0.5, std=0.5, batch_size=4)
    with torch.no_grad():
        found = tta(images)
    assert found.shape == (3, CLASSES)
    _, expected = by_hand(network, images, view_set(views).rules, merge)
    assert (found.exp() - expected).abs().max() < 1e-6


def test_images_of_few_views_share_a_pass(network, images):
    passes = []
    noted = network.register_forward_pre_hook(lambda _, inputs: passes.append(len(inputs[0])))
    for views, batch, expected in (("center", 2, [2, 1]), ("5crop", 12, [10, 5]), ("5crop", 4, [4, 1] * 3)):
        tta = snellen.ZoomTTA(network, views, mean=0.5, std=0.5, batch_size=batch)
        passes.clear()
        with torch.no_grad():
            tta(images)
        assert passes == expected
    noted.remove()


def test_takes_pil_arrays_and_tensors_alike(network, images):
    tta = snellen.ZoomTTA(network, "5crop", mean=0.5, std=0.5)
    arrays = [np.array(image) for image in images]
    tensors = [torch.from_numpy(array).permute(2, 0, 1) for array in arrays]
    with torch.no_grad():
        expected = tta(images)
        assert torch.equal(tta(arrays), expected)
        assert torch.equal(tta(tensors), expected)
        assert torch.equal(tta(images[1]), expected[1:2])
        assert torch.equal(tta(torch.stack([tensors[0], tensors[0]])), expected[[0, 0]])
        assert torch.equal(tta(np.stack([arrays[2]])), expected[2:])
        assert tta([]).shape == (0, CLASSES)
    assert as_pictures(Image.new("L", (5, 4), 7))[0].mode == "RGB"


@pytest.mark.parametrize(
    "image",
    [
        torch.zeros(3, 224, 224),
        torch.zeros(224, 224, 3, dtype=torch.uint8),
        np.zeros((3, 224, 224), np.uint8),
        np.zeros((224, 224, 3)),
        torch.zeros(3, 0, 4, dtype=torch.uint8),
        np.zeros((0, 5, 3), np.uint8),
        Image.new("RGB", (0, 0)),
        "photo.jpg",
        None,
    ],
)
def test_other_images_are_refused(network, image):
    with pytest.raises(UsageError, match="expected"):
        snellen.ZoomTTA(network, "5crop")(image)


def test_budget_takes_a_spread_of_views_or_the_first_of_an_order(network, images, make_run):
    zooms = snellen.ZoomTTA(network, budget=np.int64(8)).rules
    assert len({rule.scale for rule in zooms}) == len({(rule.row, rule.col) for rule in zooms}) == 8
    ranked = f"top9@{make_run(30, seed=3).path}"
    assert snellen.ZoomTTA(network, ranked, budget=4).rules == view_set(ranked).rules[:4]
    grid = Grid("mine", view_set("10crop").rules)
    assert snellen.ZoomTTA(network, grid, budget=3).rules == grid.rules[:3]
    tta = snellen.ZoomTTA(network, "10crop", budget=3, mean=0.5, std=0.5)
    with torch.no_grad():
        _, expected = by_hand(network, images, tta.rules, "mean")
        assert (tta(images).exp() - expected).abs().max() < 1e-6
    for budget in (0, -1, 2.5, "8", True):
        with pytest.raises(UsageError, match=f"budget={budget!r}: expected a whole number"):
            snellen.ZoomTTA(network, "10crop", budget=budget)
    with pytest.raises(UsageError, match=r"batch_size=1\.5"):
        snellen.ZoomTTA(network, "10crop", batch_size=1.5)
    with pytest.raises(UsageError, match="only 3 views"):
        snellen.ZoomTTA(network, "10crop", "confident-4", budget=3)


@pytest.mark.parametrize("budget", [None, 4])
def test_policy_stops_as_it_says(network, images, budget, tmp_path):
    grid = Grid("ten", view_set("10crop").rules)
    probs, _ = by_hand(network, images, grid.rules, "mean")
    policy = Policy(grid, 0.03, 0.08, 0, 100, 4.0)
    stops = [stop_of(image, policy.threshold, budget) for image in probs.numpy()]
    assert len(set(stops)) > 1, "the rule decides nothing here"
    policy.save(tmp_path / "policy.json")
    for views in (policy, str(tmp_path / "policy.json")):
        tta = snellen.ZoomTTA(network, views, budget=budget, mean=0.5, std=0.5)
        with torch.no_grad():
            found = tta(images).exp()
        for image, row, whole, stop in zip(images, found, probs, stops, strict=True):
            assert (row - whole[:stop].mean(0)).abs().max() < 1e-6
            assert len(tta.explain(image).votes) == stop
    with pytest.raises(UsageError, match="a policy settles the mean"):
        snellen.ZoomTTA(network, policy, "vote")


def test_explain_names_every_vote(network, images):
    names = ["ant", "bee", "cat", "dog", "elk", "fox", "gnu"]
    tta = snellen.ZoomTTA(network, "5crop", "vote", mean=0.5, std=0.5, classes=names)
    told = tta.explain(images[0])
    probs, scores = by_hand(network, images[:1], tta.rules, "vote")
    assert told.answer == names[int(scores[0].argmax())]
    assert told.confidence == pytest.approx(float(scores.max()), abs=1e-6)
    assert [vote.answer for vote in told.votes] == [names[k] for k in probs[0].argmax(1)]
    assert [vote.agrees for vote in told.votes] == [vote.answer == told.answer for vote in told.votes]
    assert len(str(told).splitlines()) == 6
    assert str(told).startswith(f"{told.answer} (vote ")
    assert all("bilinear crop" in line for line in str(told).splitlines()[1:])
    with pytest.raises(UsageError, match="3 images"):
        tta.explain(images)


@pytest.mark.parametrize(("merge", "kept"), [("confident-3", 3), ("zero", 2)])
def test_explain_tells_views_that_do_not_count(network, images, merge, kept):
    tta = snellen.ZoomTTA(network, "paper:224", merge, mean=0.5, std=0.5)
    told = tta.explain(images[0])
    probs, _ = by_hand(network, images[:1], tta.rules, merge)
    entropy = -(probs[0] * probs[0].log()).sum(1)
    order = probs[0].amax(1).argsort(descending=True) if merge == "confident-3" else entropy.argsort()
    assert {k for k, vote in enumerate(told.votes) if vote.counts} == set(order[:kept].tolist())
    first, *lines = str(told).splitlines()
    assert f"of {kept} views that count, of 9, agree" in first
    assert sum(line.startswith("x ") for line in lines) == 9 - kept


def test_under_autocast_and_compiled(network, images):
    tta = snellen.ZoomTTA(network, "5crop", mean=0.5, std=0.5)
    with torch.no_grad():
        expected = tta(images)
        with torch.autocast("cpu", torch.bfloat16):
            found = tta(images)
        assert found.dtype == torch.float32
        assert (found.exp() - expected.exp()).abs().max() < 0.02
        assert (copy.deepcopy(tta).bfloat16()(images).exp() - expected.exp()).abs().max() < 0.02
        assert torch.allclose(torch.compile(tta, backend="eager")(images), expected, atol=1e-6)
        inside = snellen.ZoomTTA(torch.compile(network, backend="eager"), "5crop", mean=0.5, std=0.5)
        assert torch.allclose(inside(images), expected, atol=1e-6)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_on_a_gpu(network, images):
    tta = snellen.ZoomTTA(network, "5crop", mean=0.5, std=0.5)
    expected = tta(images)
    moved = snellen.ZoomTTA(network, "5crop", mean=0.5, std=0.5).cuda()
    assert (moved(images).cpu().exp() - expected.exp()).abs().max() < 1e-4
    network.cpu()


def test_gradients_reach_the_network(network, images):
    snellen.ZoomTTA(network, "5crop", mean=0.5, std=0.5)(images).max().backward()
    assert network[0].weight.grad.abs().sum() > 0
    network.zero_grad()


class Modes(torch.nn.Module):
    """Notes the mode it runs in; what it computes depends on it."""

    def __init__(self):
        super().__init__()
        self.body = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 16, 16), torch.nn.BatchNorm2d(4), torch.nn.Dropout(0.5))
        self.head = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(4, CLASSES))
        self.seen = []

    def forward(self, x):
        self.seen.append(any(part.training for part in self.modules()))
        return self.head(self.body(x))


def test_a_module_that_is_given_stays_as_it_is(images):
    torch.manual_seed(0)
    model = Modes().double().float().train()
    model.body[1].eval()  # frozen, as in fine-tuning
    model.head[2].weight.requires_grad_(False)
    state = {name: value.clone() for name, value in model.state_dict().items()}
    held = {name: (id(p), p.data_ptr(), p.dtype, p.device, p.requires_grad) for name, p in model.named_parameters()}
    modes = [part.training for part in model.modules()]
    expected = snellen.ZoomTTA(copy.deepcopy(model).eval(), "5crop", mean=0.5, std=0.5)(images)
    tta = snellen.ZoomTTA(model, "5crop", mean=0.5, std=0.5)
    assert torch.equal(tta(images), expected)
    tta.explain(images[0])
    with pytest.raises(UsageError):
        tta([torch.zeros(3, 8, 8)])
    assert not any(model.seen)
    assert [part.training for part in model.modules()] == modes
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    now = {name: (id(p), p.data_ptr(), p.dtype, p.device, p.requires_grad) for name, p in model.named_parameters()}
    assert now == held
    assert all(p.grad is None for p in model.parameters())


def test_a_policy_that_is_none_is_found_before_the_model_is_loaded(tmp_path):
    with pytest.raises(UsageError, match="cannot be read"):
        snellen.ZoomTTA("timm/no_such_network", str(tmp_path / "policy.json"))


def test_calls_that_make_no_sense(network):
    with pytest.raises(ModelError, match="a method is no model"):
        snellen.ZoomTTA(network.forward)
    with pytest.raises(UsageError, match=r"memo-rrc,k=4.*snellen\.tta\.memo\.Memo"):
        snellen.ZoomTTA(network, "memo-rrc,k=4")
    with pytest.raises(UsageError, match=r"leave \+flip out"):
        snellen.ZoomTTA(network, "policy.json+flip")
    with pytest.raises(ModelError, match=r"std=0: expected numbers other than 0, one or three, such as \(0\.485"):
        snellen.ZoomTTA(network, "5crop", std=0)
    with pytest.raises(ModelError, match="divide by 255"):
        snellen.ZoomTTA(network, "5crop", mean=(123.7, 116.3, 103.5))
    with pytest.raises(ModelError, match="expected a list of names"):
        snellen.ZoomTTA(network, "5crop", classes="names.txt")
    with pytest.raises(ModelError, match="go with a module"):
        snellen.ZoomTTA("embedded/efficientnet_lite0", mean=0.5)
    with pytest.raises(UsageError, match="unknown views"):
        snellen.ZoomTTA(network, "paper:up")
    with pytest.raises(UsageError, match="unknown merge"):
        snellen.ZoomTTA(network, "5crop", "median")
    with pytest.raises(UsageError, match="expected a name"):
        snellen.ZoomTTA(network, Grid("none", ()))
    with pytest.raises(UsageError, match="64 pixels wide"):
        snellen.ZoomTTA(network, Grid("small", view_set("center", 64).rules))
    with pytest.raises(ModelError, match="size=0"):
        snellen.ZoomTTA(network, "5crop", size=0)
    with pytest.raises(ModelError, match="class names"):
        snellen.ZoomTTA(network, "5crop", classes=["a", "b"])
    with pytest.raises(ModelError, match=r"bfloat16.*cast the ZoomTTA"):
        snellen.ZoomTTA(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(224 * 224 * 3, 2)).bfloat16(), "5crop")


def test_a_spec_has_its_own_normalisation_and_names(examples_dir):
    from snellen.classifiers.sources import load
    from snellen.classifiers.spec import parse_spec

    image = Image.open(sorted(examples_dir.rglob("*.jpg"))[0]).convert("RGB")
    tta = snellen.ZoomTTA("embedded/efficientnet_lite0", "center")
    loaded = load(parse_spec("embedded/efficientnet_lite0"))
    _, expected = by_hand(loaded.module, [image], tta.rules, "mean", loaded.mean[0], loaded.std[0])
    with torch.no_grad():
        assert (tta(image).exp() - expected).abs().max() < 1e-6
    assert tta.explain(image).answer in loaded.space.names


def test_the_package_imports_no_torch():
    code = "import sys, snellen; sys.exit('torch' in sys.modules or not hasattr(snellen, 'ZoomTTA'))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
