r"""MEMO against a plain loop (a copy of the network, one image, eager): time, answers and logits; what views cost.

By both augmentations; the loop is given the same random views.

python benchmarks/memo.py DATA --checkpoint FILE [--images 50] [--views 64] [--exact 5] \
    [--model mobilenetv2_100] [--augment rrc]
"""

import copy
import itertools
import time
from dataclasses import replace

import numpy as np
import torch
from PIL import Image
from timm.layers import BatchNormAct2d
from torch import nn

import common
from snellen.classifiers.sources import load
from snellen.classifiers.spec import parse_spec
from snellen.tta.augment import random_views
from snellen.tta.memo import Memo
from snellen.tta.memo_options import memo_preset

# arXiv 2304.05538: seconds an image by AugMix-like mixtures and by random resized crops.
PUBLISHED = 1.15 / 0.65
AUGMENTS = ("rrc", "augmix")
PRECISIONS = ("fp32", "bf16")


class PlainNorm(nn.Module):
    """Batch norm by mixed statistics as the published code has it."""

    def __init__(self, layer, strength):
        super().__init__()
        self.layer, self.stored = layer, strength / (strength + 1)

    def forward(self, x):
        """Normalised `x`."""
        layer, mean, var = self.layer, torch.zeros(x.shape[1], dtype=x.dtype), torch.ones(x.shape[1], dtype=x.dtype)
        with torch.no_grad():
            nn.functional.batch_norm(x, mean, var, training=True, momentum=1.0)
        mean = self.stored * layer.running_mean + (1 - self.stored) * mean
        var = self.stored * layer.running_var + (1 - self.stored) * var
        x = nn.functional.batch_norm(x, mean, var, layer.weight, layer.bias, eps=layer.eps)
        return layer.act(layer.drop(x)) if isinstance(layer, BatchNormAct2d) else x


class SidedReLU6(nn.Module):
    """ReLU6 in the gradient step: notes for each number whether it is between the bends, or goes by what was noted."""

    def __init__(self, sides, dtype):
        super().__init__()
        self.sides, self.given = sides, dtype == torch.float64

    def forward(self, x):
        """`x` cut at 0 and 6; its gradient is let through where it is between, or was in the pass that noted it."""
        if not torch.is_grad_enabled():
            return nn.functional.relu6(x)
        if not self.given:
            self.sides.append((x > 0) & (x < 6))
            return nn.functional.relu6(x)
        return x.detach().clamp(0, 6) + (x - x.detach()) * self.sides.pop(0)


def plain_memo(loaded, image, options, key, dtype=torch.float32, sides=None):
    """Logits of the network adapted to one image: nothing is shared with Snellen but the random views.

    sides: a list in which float32 notes the side of ReLU6's bends that each number is on, and from which float64
        takes it.
    """
    network = copy.deepcopy(loaded.module).to(dtype).requires_grad_(True)
    for parent in list(network.modules()):
        for name, layer in list(parent.named_children()):
            if isinstance(layer, nn.BatchNorm2d):
                if sides is not None and isinstance(getattr(layer, "act", None), nn.ReLU6):
                    layer.act = SidedReLU6(sides, dtype)
                setattr(parent, name, PlainNorm(layer, options.prior_strength))
    mean, std = (torch.tensor(v, dtype=dtype)[:, None, None] for v in (loaded.mean, loaded.std))
    views = torch.from_numpy(random_views(image, options, key)).permute(0, 3, 1, 2).contiguous().to(dtype)
    width, height = image.size
    short = min(width, height)
    resized = image.resize((int(256 * width / short), int(256 * height / short)), Image.Resampling.BILINEAR)
    left, top = round((resized.width - 224) / 2), round((resized.height - 224) / 2)
    view = torch.from_numpy(np.array(resized.crop((left, top, left + 224, top + 224)))).permute(2, 0, 1)[None]
    optimizer = torch.optim.SGD(network.parameters(), lr=options.lr)
    p = network((views / 255 - mean) / std).softmax(1).mean(0)
    (-(p * p.log()).sum()).backward()
    optimizer.step()
    with torch.no_grad():
        return network((view.contiguous().to(dtype) / 255 - mean) / std)[0].numpy()


def rounding(spec, paths, rows, views, count):
    """Of the images whose float32 logits are furthest apart, the logits of four passes.

    The plain loop's in float64, in float32, and in float64 with float32's sides of ReLU6's bends; Snellen's in float32.
    """
    loaded = load(parse_spec(spec))
    options = replace(memo_preset("released", "rrc"), views=views)
    apart = [np.abs(row["rrc", "fp32"].logits - row["rrc"]).max() for row in rows]
    for k in np.argsort(apart)[::-1][:count].tolist():
        image, sides = Image.open(paths[k]).convert("RGB"), []
        exact = plain_memo(loaded, image, options, k, torch.float64)
        plain_memo(loaded, image, options, k, sides=sides)
        sided = plain_memo(loaded, image, options, k, torch.float64, sides)
        yield exact, rows[k]["rrc"], sided, rows[k]["rrc", "fp32"].logits


def measure(spec, paths, views, augments):
    """For each image in turn: what the plain loop and Snellen answer by each augmentation, and their seconds.

    A row has the plain loop's logits under the augmentation, Snellen's answer under augmentation and precision, and
    seconds under the same with `s` behind.
    """
    loaded = load(parse_spec(spec))
    settings = {augment: replace(memo_preset("released", augment), views=views) for augment in augments}
    memos = {}
    for augment, precision in itertools.product(augments, PRECISIONS):
        memo = Memo(loaded.module, settings[augment], mean=loaded.mean, std=loaded.std, precision=precision)
        memos[augment, precision] = memo
        start = time.perf_counter()
        memo.adapt(Image.open(paths[0]).convert("RGB"), 0)
        print(f"{spec.split('@')[0]} {augment} {precision}: first image {time.perf_counter() - start:.0f} s")
    rows = []
    for k, path in enumerate(paths):
        image = Image.open(path).convert("RGB")
        row = {}
        for augment, options in settings.items():
            start = time.perf_counter()
            row[augment] = plain_memo(loaded, image, options, k)
            row[augment, "s"] = time.perf_counter() - start
        for key, memo in memos.items():
            start = time.perf_counter()
            row[key] = memo.adapt(image, k)
            row[*key, "s"] = time.perf_counter() - start
        rows.append(row)
    return rows


def against_plain(name, rows, augment, precision):
    """One line: how long the plain loop takes for an image and how long Snellen, and how far their logits are apart."""
    expected, got = (
        np.array(v) for v in ([row[augment] for row in rows], [row[augment, precision].logits for row in rows])
    )
    plain, ours = (
        1000 * common.median([row[key] for row in rows]) for key in ((augment, "s"), (augment, precision, "s"))
    )
    equal = int((expected.argmax(1) == got.argmax(1)).sum())
    apart = np.abs(got - expected).max(1)
    size = apart / (1 + np.abs(expected).max(1))
    times = [f"{plain:.0f}", f"{ours:.0f}", f"{plain / ours:.2f} ×"]
    return [name, augment, precision, *times, f"{equal} of {len(rows)}", f"{apart.max():.1e}", f"{size.max():.1e}"]


def main():
    parser = common.arguments(__doc__)
    parser.add_argument("--images", type=int, default=50)
    parser.add_argument("--views", type=int, default=64)
    parser.add_argument("--exact", type=int, default=5, help="images for which the loop runs in float64 too")
    parser.add_argument("--model", choices=("efficientnet_lite0", "mobilenetv2_100"), help="one of the two alone")
    parser.add_argument("--augment", choices=AUGMENTS, help="one of the two alone; rrc for the table of rounding")
    options = parser.parse_args()
    augments = (options.augment,) if options.augment else AUGMENTS
    paths = sorted(options.data.glob("*/*"))
    paths = paths[:: max(1, len(paths) // options.images)][: options.images]
    specs = {
        "efficientnet_lite0": "embedded/efficientnet_lite0",
        "mobilenetv2_100": common.mobilenet(options.checkpoint),
    }
    specs = {options.model: specs[options.model]} if options.model else specs
    found = {name: measure(spec, paths, options.views, augments) for name, spec in specs.items()}

    columns = ("model", "views", "precision", "plain loop, ms", "Snellen, ms")
    columns += ("ratio", "equal answers", "logits apart", "of size")
    variants = list(itertools.product(augments, PRECISIONS))
    rows = [against_plain(name, rows, *variant) for name, rows in found.items() for variant in variants]
    common.show(f"An image, {options.views} views, medians of {len(paths)}; the plain loop in float32", columns, rows)

    table = []
    for name, rows in found.items():
        whole = {}
        for augment in augments:
            parts = [
                common.median([getattr(row[augment, "fp32"], part) for row in rows])
                for part in ("augment_ms", "cut_ms", "adapt_ms")
            ]
            whole[augment] = (parts[0], sum(parts))
            table.append([name, augment, *(f"{ms:.0f}" for ms in (*parts, sum(parts)))])
        if len(augments) < len(AUGMENTS):
            continue
        ratios = [f"{a / b:.2f} ×" for a, b in zip(whole["augmix"], whole["rrc"], strict=True)]
        table.append([name, "augmix / rrc", ratios[0], "", "", f"{ratios[1]} (published: {PUBLISHED:.2f} ×)"])
    columns = ("model", "views", "augmentation", "cutting the centre", "adaptation", "whole")
    common.show("What an image costs, ms", columns, table)

    if "rrc" not in augments or not options.exact:
        return
    table = []
    for name, spec in specs.items():
        passes = rounding(spec, paths, found[name], options.views, options.exact)
        exact, single, sided, ours = (np.array(logits) for logits in zip(*passes, strict=True))
        size = 1 + np.abs(exact).max(1)
        in_float64 = "float64, but float32's sides of ReLU6's bends"
        for what, logits in (("plain loop", single), (in_float64, sided), ("Snellen", ours)):
            apart = np.abs(logits - exact).max(1)
            table.append([name, what, f"{apart.max():.1e}", f"{(apart / size).max():.1e}"])
    title = f"float32 against the plain loop in float64, on the {options.exact} images where the two are furthest apart"
    common.show(title, ("model", "in float32", "logits apart", "of size"), table)


if __name__ == "__main__":
    main()
