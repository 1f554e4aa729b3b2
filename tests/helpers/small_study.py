"""A study that takes seconds: one of timm's fastest networks with fixed random weights, and small pictures."""

from pathlib import Path

import numpy as np
from PIL import Image

WNIDS = ("n01440764", "n01443537", "n01484850", "n01491361", "n01494475")


def write_weights(path: Path) -> None:
    """A checkpoint of lcnet_035 whose answers differ from image to image and from zoom to zoom."""
    import timm
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(0)
    network = timm.create_model("lcnet_035").eval()
    for part in network.modules():  # random weights give the same answer to everything until their scales are set
        if isinstance(part, torch.nn.BatchNorm2d):
            part.momentum = None
            part.train()
    noise = torch.rand(4, 3, 28, 28) * torch.tensor([0.2, 0.6, 1.0, 2.0]).view(4, 1, 1, 1) - 0.5
    with torch.inference_mode():
        network(torch.nn.functional.interpolate(noise, 224, mode="bilinear"))
    network.get_classifier().weight.data *= 3
    save_file({key: value.contiguous() for key, value in network.state_dict().items()}, path)


def write_pictures(root: Path, count: int = 24) -> None:
    """Small pictures in five class folders."""
    rng = np.random.default_rng(0)
    for k in range(count):
        height, width = rng.integers(24, 32, 2)
        pixels = rng.integers(0, 256, (height, width, 3), np.uint8)
        folder = root / WNIDS[k % len(WNIDS)]
        folder.mkdir(exist_ok=True)
        Image.fromarray(pixels).resize((width * 2, height * 2), Image.Resampling.BILINEAR).save(folder / f"{k:02d}.png")
