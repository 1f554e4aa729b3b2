"""What is not ours, and is left as it was found: PyTorch's settings of a process, and a caller's module."""

import contextlib
import copy
from collections.abc import Iterator

import torch

from snellen.errors import ModelError


@contextlib.contextmanager
def whole_float32() -> Iterator[None]:
    """While active, products of float32 are of float32, not of TF32, which keeps 10 bits of each factor, or of bf16."""
    convolutions, matrices = torch.backends.cudnn.allow_tf32, torch.get_float32_matmul_precision()
    try:
        torch.backends.cudnn.allow_tf32 = False
        torch.set_float32_matmul_precision("highest")
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = convolutions
        torch.set_float32_matmul_precision(matrices)


@contextlib.contextmanager
def evaluating(module: torch.nn.Module) -> Iterator[None]:
    """While active, a module and all its parts are in evaluation mode; each goes back to the mode it was in.

    The flags alone are set: `train` and `eval` of some libraries' layers also rewrite their weights.
    """
    training = [part for part in module.modules() if part.training]
    for part in training:
        part.training = False
    try:
        yield
    finally:
        for part in training:
            part.training = True


def stand_in(module: torch.nn.Module) -> torch.nn.Module:
    """A copy of a module, in evaluation mode, that may be moved and run: the module itself is as it was.

    Its parameters read the module's memory, and take some of their own where they are moved or cast; its buffers, which
    some networks write as they run, are its own. Raises ModelError for a module that Python cannot copy.
    """
    own: dict[int, torch.Tensor] = {}
    for value in module.parameters():
        own[id(value)] = torch.nn.Parameter(value.detach(), requires_grad=value.requires_grad)
    own |= {id(value): value.detach().clone() for value in module.buffers()}
    try:
        return copy.deepcopy(module, own).eval()
    except Exception as error:  # what a module holds may refuse in any way: locks, files, tensors with a history
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ModelError(
            f"the {type(module).__name__} cannot be copied ({reason}), and yours is not to be changed; give it as "
            "FILE.py:FUNCTION, a function that makes it"
        ) from error
