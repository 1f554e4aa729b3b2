"""A small network with real files behind it, small pictures."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

WNIDS = ("n01440764", "n01443537", "n01484850", "n01491361", "n01494475")


@pytest.fixture(scope="session")
def tiny_weights(tmp_path_factory):
    """A checkpoint of one of timm's fastest networks, with fixed random weights."""
    import timm
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    network = timm.create_model("lcnet_035").eval()
    for part in network.modules():  # random weights give the same answer to everything until their scales are set
        if isinstance(part, torch.nn.BatchNorm2d):
            part.momentum = None
            part.train()
    noise = torch.rand(4, 3, 28, 28) * torch.tensor([0.2, 0.6, 1.0, 2.0]).view(4, 1, 1, 1) - 0.5
    with torch.inference_mode():
        network(torch.nn.functional.interpolate(noise, 224, mode="bilinear"))
    network.get_classifier().weight.data *= 3
    state = {key: value.contiguous() for key, value in network.state_dict().items()}
    save_file(state, path)
    return path


@pytest.fixture(scope="session")
def tiny(tiny_weights):
    """The spec of that network."""
    return f"timm/lcnet_035@{tiny_weights},mean=0.5,std=0.5"


@pytest.fixture(scope="session")
def pictures(tmp_path_factory):
    """24 small pictures in five class folders."""
    root = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    for k in range(24):
        height, width = rng.integers(24, 32, 2)
        pixels = rng.integers(0, 256, (height, width, 3), np.uint8)
        folder = root / WNIDS[k % len(WNIDS)]
        folder.mkdir(exist_ok=True)
        Image.fromarray(pixels).resize((width * 2, height * 2), Image.Resampling.BILINEAR).save(folder / f"{k:02d}.png")
    return root


@pytest.fixture
def own_pictures(pictures, tmp_path):
    """A copy of the pictures that a test may change."""
    return Path(shutil.copytree(pictures, tmp_path / "pictures"))
