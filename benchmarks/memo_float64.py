"""MEMO and the plain loop of memo.py, both in float64: what is left of their difference where rounding is out of it.

Snellen's side is the path that adapts images in a batch (torch.func). Both are given the same random views, and the
same arithmetic for two kinds of convolution, which PyTorch computes very slowly in float64 on a CPU. Each image is kept
in DIR as it is done; the same command goes on from there, and another --views or model beside it.

python benchmarks/memo_float64.py DATA --checkpoint FILE --keep DIR [--images 50] [--views 16] [--seconds 500]
"""

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.nn import functional

import common
from memo import plain_memo
from snellen.classifiers.sources import load
from snellen.classifiers.spec import parse_spec
from snellen.tta.memo import Memo
from snellen.tta.memo_options import memo_preset
from snellen.tta.standin import StandIn


class PlainConvolutions(StandIn):
    """While active, pointwise convolutions are matrix products, and depthwise ones sums of shifted products."""

    def __init__(self):
        super().__init__(torch.conv2d, self._conv2d)

    def _conv2d(self, x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
        step, edge, apart = (v if isinstance(v, int) else v[0] for v in (stride, padding, dilation))
        height, width = weight.shape[-2:]
        if groups == 1 and (height, width, step, edge) == (1, 1, 1, 0):
            out = (weight[:, :, 0, 0] @ x.flatten(2)).unflatten(2, x.shape[2:])
        elif 1 < groups == x.shape[1] == weight.shape[0] and apart == 1:
            x = functional.pad(x, (edge,) * 4)
            last = [(size - side) // step * step + 1 for size, side in zip(x.shape[2:], (height, width), strict=True)]
            out = sum(
                x[:, :, i : i + last[0] : step, j : j + last[1] : step] * weight[:, 0, i, j, None, None]
                for i in range(height)
                for j in range(width)
            )
        else:
            return torch.conv2d(x, weight, bias, stride, padding, dilation, groups)
        return out if bias is None else out + bias[:, None, None]


def both(loaded, memo, path, options, key):
    """Logits of the plain loop and of Snellen, float64 `[2, classes]`, of the network adapted to one image."""
    image = Image.open(path).convert("RGB")
    with PlainConvolutions():
        plain = plain_memo(loaded, image, options, key, torch.float64)
        return np.stack([plain, memo.adapt_batch([image], [key])[0].logits])


def measure(name, spec, paths, views, keep, until):
    """What is known of the images by `until`, float64 `[images, 2, classes]`, or empty; each is kept as it is done."""
    loaded = load(parse_spec(spec))
    options = replace(memo_preset("released", "rrc"), views=views)
    memo, found = None, []
    for k, path in enumerate(paths):
        file = keep / f"{name}-{views}-{k}-{path.stem}.npy"
        if not file.exists() and time.monotonic() < until:
            if memo is None:
                module = load(parse_spec(spec)).module.double()
                memo = Memo(module, options, mean=loaded.mean, std=loaded.std, compiled=False)
            logits = both(loaded, memo, path, options, k)
            part = file.with_suffix(".part")
            with part.open("wb") as out:
                np.save(out, logits)
            part.rename(file)
        if file.exists():
            found.append(np.load(file))
    return np.array(found)


def main():
    parser = common.arguments(__doc__)
    parser.add_argument("--keep", type=Path, required=True, help="a folder for what is done")
    parser.add_argument("--images", type=int, default=50)
    parser.add_argument("--views", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="start no image after so long")
    options = parser.parse_args()
    options.keep.mkdir(parents=True, exist_ok=True)
    paths = sorted(options.data.glob("*/*"))
    paths = paths[:: max(1, len(paths) // options.images)][: options.images]
    specs = {
        "mobilenetv2_100": common.mobilenet(options.checkpoint),
        "efficientnet_lite0": "embedded/efficientnet_lite0",
    }
    start, rows = time.monotonic(), []
    for turn, (name, spec) in enumerate(specs.items(), 1):
        until = start + options.seconds * turn / len(specs)
        found = measure(name, spec, paths, options.views, options.keep, until)
        if not len(found):
            rows.append([name, f"0 of {len(paths)}", "–", "–", "–"])
            continue
        plain, ours = found[:, 0], found[:, 1]
        apart = np.abs(plain - ours).max(1)
        size = 1 + np.abs(plain).max(1)
        equal = int((plain.argmax(1) == ours.argmax(1)).sum())
        numbers = [f"{equal} of {len(found)}", f"{apart.max():.1e}", f"{(apart / size).max():.1e}"]
        rows.append([name, f"{len(found)} of {len(paths)}", *numbers])
    columns = ("model", "images", "equal answers", "logits apart", "of size")
    common.show(f"MEMO against the plain loop, both in float64, {options.views} views", columns, rows)


if __name__ == "__main__":
    main()
