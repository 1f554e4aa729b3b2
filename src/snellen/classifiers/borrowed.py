"""What is not ours, and is left as it was found: PyTorch's settings of a process, and a caller's module."""

import contextlib
import copy
import inspect
import threading
from collections.abc import Iterator
from typing import Any

import torch
from torch.nn.parameter import is_lazy

from snellen.errors import ModelError

# What multiplies matrices or convolves, each with a precision of its own for float32.
_BACKENDS: Any = torch.backends  # whose types leave these out
PRODUCTS: tuple[Any, ...] = (
    _BACKENDS.cuda.matmul,
    _BACKENDS.cudnn.conv,
    _BACKENDS.cudnn.rnn,
    _BACKENDS.mkldnn.matmul,
    _BACKENDS.mkldnn.conv,
    _BACKENDS.mkldnn.rnn,
)


class _WholeFloat32:
    """The settings of the process while at least one thread wants whole products, and those that it had before."""

    def __init__(self) -> None:
        self.lock, self.wanted = threading.Lock(), 0
        self.convolutions, self.matrices, self.products = True, "highest", [""] * len(PRODUCTS)

    def enter(self) -> None:
        with self.lock:
            self.wanted += 1
            if self.wanted > 1:
                return
            self.products = [product.fp32_precision for product in PRODUCTS]
            # The older names of some of these refuse to be read where they say less than the newer ones.
            self.convolutions, self.matrices = True, "highest"
            with contextlib.suppress(RuntimeError):
                self.convolutions = torch.backends.cudnn.allow_tf32
            with contextlib.suppress(RuntimeError):
                self.matrices = torch.get_float32_matmul_precision()
            torch.backends.cudnn.allow_tf32 = False
            torch.set_float32_matmul_precision("highest")
            for product in PRODUCTS:
                product.fp32_precision = "ieee"

    def leave(self) -> None:
        with self.lock:
            self.wanted -= 1
            if self.wanted:
                return
            torch.backends.cudnn.allow_tf32 = self.convolutions
            torch.set_float32_matmul_precision(self.matrices)
            for product, before in zip(PRODUCTS, self.products, strict=True):
                for value in ("none", before):  # none: as that of all products, where this one has none of its own
                    if product.fp32_precision != before:
                        product.fp32_precision = value


_whole_float32 = _WholeFloat32()


@contextlib.contextmanager
def whole_float32() -> Iterator[None]:
    """While active, products of float32 are of float32, not of TF32, which keeps 10 bits of each factor, or of bf16.

    The settings are the process's: where several threads are inside, the last one that leaves puts them back.
    """
    _whole_float32.enter()
    try:
        yield
    finally:
        _whole_float32.leave()


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

    Its parameters read the module's memory, and take some of their own where they are moved or cast; those of a module
    whose layers do more for `eval` than to set a flag are its own, and so are its buffers, which some networks write as
    they run. Raises ModelError for a module that Python cannot copy.
    """
    kind = type(module).__name__
    if any(is_lazy(value) for value in (*module.parameters(), *module.buffers())):
        raise ModelError(f"the {kind} has weights without a shape, as lazy layers do; run it on a picture first")
    try:
        _check_own(module)
        return copy.deepcopy(module, _given(module)).eval()
    except Exception as error:  # what a module holds may refuse in any way: locks, files, tensors with a history
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ModelError(
            f"the {kind} cannot be copied ({reason}), and yours is not to be changed; give it as "
            "FILE.py:FUNCTION, a function that makes it"
        ) from error


def _given(module: torch.nn.Module) -> dict[int, torch.Tensor]:
    """By the ids of a module's tensors, what its copy has in their place; Python copies all others."""
    given: dict[int, torch.Tensor] = {}
    plain = torch.nn.Module
    if all(type(part).train is plain.train and type(part).eval is plain.eval for part in module.modules()):
        for value in module.parameters():
            # Types of their own, as of quantised weights, know more than their numbers.
            if type(value) is torch.nn.Parameter and not value.is_inference():
                given[id(value)] = torch.nn.Parameter(value.detach(), requires_grad=value.requires_grad)
    for part in module.modules():
        for held in (*part.buffers(recurse=False), *vars(part).values()):
            # Python copies no result of a computation, as older weight and spectral norms leave it in their layer.
            if isinstance(held, torch.Tensor) and held.grad_fn is not None:
                given[id(held)] = held.detach().clone()
    return given


def _check_own(module: torch.nn.Module) -> None:
    """Raise TypeError where a part holds a function that calls a part: functions are not copied."""
    parts = set(map(id, module.modules()))
    for part in module.modules():
        for name, value in _copied(part).items():
            if not inspect.isfunction(value):
                continue
            seen = inspect.getclosurevars(value)
            for one in (*seen.nonlocals.values(), *seen.globals.values()):
                owner = getattr(one, "__self__", one)
                if id(owner) in parts:
                    raise TypeError(
                        f"the function {name} of the {type(part).__name__} calls the {type(owner).__name__}"
                    )


def _copied(part: torch.nn.Module) -> dict[str, Any]:
    """The attributes that a copy of a part has: what is compiled for the part itself is not among them."""
    with contextlib.suppress(Exception):  # parametrized modules are copied, but tell no state
        return dict(part.__getstate__())  # type: ignore[no-untyped-call]
    return vars(part)
