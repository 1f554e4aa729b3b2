"""Super-resolution networks from files, by spandrel, which knows their architectures by the names of their weights."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from snellen.classifiers.weights import file_sha256, read_weights
from snellen.errors import ModelError
from snellen.mining.publish.upscale import Network, Pixels

if TYPE_CHECKING:
    import torch


def load_network(path: Path, device: str = "auto") -> Network:
    """The network whose weights a file holds: safetensors, or a PyTorch file of plain weights; no code in it is run.

    device: auto, cpu, cuda or cuda:N.
    Raises ModelError where there is none, spandrel is not installed or knows no such architecture, or the network is
    not one that enlarges RGB images and can do so in tiles.
    """
    try:
        import spandrel
    except ImportError as error:
        raise ModelError("--upscaler needs a package that is not installed: pip install 'snellen[upscale]'") from error
    import torch

    if not path.is_file():
        raise ModelError(f"no file {str(path)!r}; give the weights of a super-resolution network as .safetensors")
    weights = read_weights(path)
    try:
        model = spandrel.ModelLoader().load_from_state_dict(dict(weights))
    except spandrel.UnsupportedModelError as error:
        raise ModelError(f"{str(path)!r} is of no architecture that spandrel knows; give another network") from error
    except (RuntimeError, KeyError, ValueError, AssertionError, IndexError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ModelError(f"{str(path)!r} does not fit the network that it names: {reason}; fetch it again") from error
    name = f"{model.architecture.name} ({path.name})"
    _check(model, name)
    try:
        placed = torch.device(("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device)
        model.to(placed).eval()
    except (RuntimeError, AssertionError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ModelError(f"--device {device} cannot be used: {reason}; give cpu, cuda or auto") from error

    def enlarge(pixels: Pixels) -> Pixels:
        shown = torch.from_numpy(pixels).to(placed).permute(2, 0, 1)[None].float() / 255
        return _levels(model(shown), name)

    return Network(name, file_sha256(path), model.scale, model.size_requirements.multiple_of, enlarge)


def _check(model: Any, name: str) -> None:
    import spandrel

    if not isinstance(model, spandrel.ImageModelDescriptor) or model.scale < 2:
        raise ModelError(f"{name} does not enlarge images; give a super-resolution network")
    if (model.input_channels, model.output_channels) != (3, 3):
        raise ModelError(f"{name} makes {model.output_channels} channels of {model.input_channels}; give one for RGB")
    if model.tiling is spandrel.ModelTiling.INTERNAL:
        raise ModelError(f"{name} needs whole images, whatever memory that takes; give one that can work in tiles")


def _levels(made: "torch.Tensor", name: str) -> Pixels:
    """A tensor `[1, 3, height, width]` in 0 … 1 as levels of 8 bits; ModelError where it holds what is no number."""
    if not made.isfinite().all():
        raise ModelError(f"{name} makes values that are no numbers; its file may be damaged")
    found = (made[0] * 255).round().byte().permute(1, 2, 0).cpu().numpy()
    return np.ascontiguousarray(found)
