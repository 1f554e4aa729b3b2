"""MEMO against a plain loop (a copy of the network, one image, eager): time, answers and logits; what views cost.

python benchmarks/memo.py DATA --checkpoint FILE [--images 50] [--views 64] [--exact 5]
"""

import copy
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
VARIANTS = {"fp32": ("rrc", "fp32"), "bf16": ("rrc", "bf16"), "augmix": ("augmix", "fp32")}


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


def plain_memo(loaded, image, options, key, dtype=torch.float32):
    """Logits of the network adapted to one image: nothing is shared with Snellen but the random views."""
    network = copy.deepcopy(loaded.module).to(dtype).requires_grad_(True)
    for parent in list(network.modules()):
        for name, layer in list(parent.named_children()):
            if isinstance(layer, nn.BatchNorm2d):
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
    """Of the images whose float32 logits are furthest apart: the plain loop's in float64 and float32, Snellen's."""
    loaded = load(parse_spec(spec))
    options = replace(memo_preset("released", "rrc"), views=views)
    apart = [np.abs(row["fp32"].logits - row["expected"]).max() for row in rows]
    for k in np.argsort(apart)[::-1][:count].tolist():
        exact = plain_memo(loaded, Image.open(paths[k]).convert("RGB"), options, k, torch.float64)
        yield exact, rows[k]["expected"], rows[k]["fp32"].logits


def measure(spec, paths, views):
    """For each image in turn: what the plain loop and every variant answer, and their seconds."""
    loaded = load(parse_spec(spec))
    memos = {}
    for name, (augment, precision) in VARIANTS.items():
        options = replace(memo_preset("released", augment), views=views)
        memos[name] = Memo(loaded.module, options, mean=loaded.mean, std=loaded.std, precision=precision)
        start = time.perf_counter()
        memos[name].adapt(Image.open(paths[0]).convert("RGB"), 0)
        print(f"{spec.split('@')[0]} {name}: first image {time.perf_counter() - start:.0f} s")
    rows = []
    for k, path in enumerate(paths):
        image = Image.open(path).convert("RGB")
        start = time.perf_counter()
        row = {"expected": plain_memo(loaded, image, memos["fp32"].options, k), "plain": time.perf_counter() - start}
        for name, memo in memos.items():
            start = time.perf_counter()
            row[name] = memo.adapt(image, k)
            row[f"{name} s"] = time.perf_counter() - start
        rows.append(row)
    return rows


def against_plain(name, rows, precision):
    expected, got = (np.array(v) for v in ([r["expected"] for r in rows], [r[precision].logits for r in rows]))
    plain, ours = (1000 * common.median([r[key] for r in rows]) for key in ("plain", f"{precision} s"))
    equal = int((expected.argmax(1) == got.argmax(1)).sum())
    apart = np.abs(got - expected).max(1)
    size = apart / (1 + np.abs(expected).max(1))
    times = [f"{plain:.0f}", f"{ours:.0f}", f"{plain / ours:.2f} ×"]
    return [name, precision, *times, f"{equal} of {len(rows)}", f"{apart.max():.1e}", f"{size.max():.1e}"]


def main():
    parser = common.arguments(__doc__)
    parser.add_argument("--images", type=int, default=50)
    parser.add_argument("--views", type=int, default=64)
    parser.add_argument("--exact", type=int, default=5, help="images for which the loop runs in float64 too")
    options = parser.parse_args()
    paths = sorted(options.data.glob("*/*"))
    paths = paths[:: max(1, len(paths) // options.images)][: options.images]
    specs = {
        "efficientnet_lite0": "embedded/efficientnet_lite0",
        "mobilenetv2_100": common.mobilenet(options.checkpoint),
    }
    found = {name: measure(spec, paths, options.views) for name, spec in specs.items()}

    columns = (
        "model",
        "precision",
        "plain loop, ms",
        "Snellen, ms",
        "ratio",
        "equal answers",
        "logits apart",
        "of size",
    )
    rows = [against_plain(name, rows, p) for name, rows in found.items() for p in ("fp32", "bf16")]
    common.show(f"An image, {options.views} views, medians of {len(paths)}; the plain loop in float32", columns, rows)

    table = []
    for name, rows in found.items():
        whole = {}
        for augment, variant in (("rrc", "fp32"), ("augmix", "augmix")):
            augment_ms, adapt_ms = (
                common.median([getattr(row[variant], part) for row in rows]) for part in ("augment_ms", "adapt_ms")
            )
            whole[augment] = (augment_ms, augment_ms + adapt_ms)
            table.append([name, augment, f"{augment_ms:.0f}", f"{adapt_ms:.0f}", f"{augment_ms + adapt_ms:.0f}"])
        ratios = [f"{a / b:.2f} ×" for a, b in zip(whole["augmix"], whole["rrc"], strict=True)]
        table.append([name, "augmix / rrc", ratios[0], "", f"{ratios[1]} (published: {PUBLISHED:.2f} ×)"])
    common.show("What an image costs, ms", ("model", "views", "augmentation", "adaptation", "whole"), table)

    table = []
    for name, spec in specs.items():
        triples = rounding(spec, paths, found[name], options.views, options.exact)
        exact, single, ours = (np.array(logits) for logits in zip(*triples, strict=True))
        size = 1 + np.abs(exact).max(1)
        for what, logits in (("plain loop", single), ("Snellen", ours)):
            apart = np.abs(logits - exact).max(1)
            table.append([name, what, f"{apart.max():.1e}", f"{(apart / size).max():.1e}"])
    title = f"float32 against the plain loop in float64, on the {options.exact} images where the two are furthest apart"
    common.show(title, ("model", "float32", "logits apart", "of size"), table)


if __name__ == "__main__":
    main()
