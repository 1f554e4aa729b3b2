"""MEMO: a network adapted to one image by one gradient step, and restored.

The step is on the entropy of the mean prediction over random views (Zhang, Levine, Finn 2021, arXiv 2110.09506).
Parameters are arguments here: a step makes new ones for one image, and those of the network are only ever read.
"""

import contextlib
import copy
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.func import functional_call, grad, vmap

from snellen.classifiers.borrowed import whole_float32
from snellen.errors import ModelError
from snellen.labels import ClassMap
from snellen.tta.augment import random_views
from snellen.tta.depthwise import StridedDepthwiseInFloat32
from snellen.tta.memo_options import MemoOptions
from snellen.tta.mixing import MixedStatistics
from snellen.tta.views import view_set
from snellen.zoom.grid import WINDOW, ViewRule
from snellen.zoom.render import render

Parameters = dict[str, torch.Tensor]
# Images adapted together on a GPU; halved, for all that follow, where memory does not allow it.
GPU_BATCH = 8
# Steps of different networks and settings that a process compiles, the most that PyTorch allows: all have one code, of
# which it compiles 8 unless told otherwise.
NETWORKS = 256


@dataclass(frozen=True)
class Adapted:
    """What the network adapted to one image answers on its prediction view.

    logits: `[classes]`, float32 (float64 of a network in float64); not all numbers where the step was too large.
    augment_ms, cut_ms, adapt_ms: milliseconds for the random views; for the prediction view; for the gradient step and
        the answer.
    """

    logits: NDArray[np.floating[Any]]
    augment_ms: float
    cut_ms: float
    adapt_ms: float


class Memo:
    """A network that is adapted anew to every image.

    module: gives logits of normalised views `[n, 3, size, size]`. It stays as it is and where it is: what is adapted
        is a copy in evaluation mode, of the parameters that it has now.
    mean, std: the normalisation of its views, RGB in 0 … 1.
    size: side of its views in pixels.
    rule: the view it answers on after the step; by default Resize(256, bilinear) and CenterCrop(224), as published.
    precision: `fp32`, or `bf16` = autocast over float32 parameters.
    classes: the entropy is of these classes alone, as the published code has it for class subsets; `logits` are whole.
    compiled: compile the step on a CPU, once for a network and number of views: some tens of seconds the first time on
        a machine. Where that fails a RuntimeWarning says so, and the step runs eagerly.

    A network in float64 is adapted in float64, which tells a difference of method from one of rounding.

    Raises ModelError for parameters of fewer bits than float32, and for other precisions: they lose gradients.
    """

    def __init__(
        self,
        module: torch.nn.Module,
        options: MemoOptions,
        *,
        mean: Sequence[float],
        std: Sequence[float],
        size: int = WINDOW,
        rule: ViewRule | None = None,
        precision: str = "fp32",
        device: str = "cpu",
        classes: ClassMap | None = None,
        compiled: bool = True,
    ) -> None:
        if precision not in ("fp32", "bf16"):
            raise ModelError(f"MEMO: gradients are lost in {precision}; use fp32 or bf16")
        kind = _dtype(module)
        self.options = options
        self._device = torch.device(device)
        self._size = size
        self._rule = rule or view_set("center", size).rules[0]
        self._bf16 = precision == "bf16"
        self._module = _without_tensors(module).eval()
        self._parameters = {name: _channels_last(self._own(p)) for name, p in module.named_parameters()}
        self._buffers = {name: self._own(b) for name, b in module.named_buffers()}
        self._mean, self._std = (torch.tensor(v, dtype=kind, device=self._device) for v in (mean, std))
        self._taking_part = None if classes is None else torch.from_numpy(classes.taking_part).to(self._device)
        self._loss: Callable[[Parameters, torch.Tensor], torch.Tensor] = self._entropy
        self._prepared = self._device.type != "cpu" or not compiled
        self._together = GPU_BATCH

    def adapt(self, image: Image.Image, key: str | int) -> Adapted:
        """The answer on an RGB image after one step on random views of it; `key` (its id, hash or place) seeds them."""
        views, view, augment_ms, cut_ms = self._views(image, key)
        with whole_float32():
            if not self._prepared:
                self._compile(views)
            start = time.perf_counter()
            adapted = self._stepped(self._gradient(self._network_input(views)))
            logits = self._answer(adapted, self._network_input(view)).cpu().numpy()
        return Adapted(logits, augment_ms, cut_ms, _ms(start))

    @property
    def together(self) -> int:
        """How many images are worth waiting for before `adapt_many` is called: those that are adapted at once."""
        return 1 if self._device.type == "cpu" else self._together

    def adapt_many(self, images: Sequence[Image.Image], keys: Sequence[str | int]) -> list[Adapted]:
        """`adapt` of each image; on a GPU several at once, each with gradients and parameters of its own.

        On a CPU one compiled step after another is faster than a batch (a convolution with weights for each image
        runs as one with groups), and needs the memory of one.
        """
        if self._device.type == "cpu":
            return [self.adapt(image, key) for image, key in zip(images, keys, strict=True)]
        done: list[Adapted] = []
        while len(done) < len(images):
            chunk = slice(len(done), len(done) + self._together)
            try:
                done += self.adapt_batch(images[chunk], keys[chunk])
            except torch.OutOfMemoryError:
                if self._together == 1:
                    raise
                self._together //= 2  # for good: the next images are as large
        return done

    def adapt_batch(self, images: Sequence[Image.Image], keys: Sequence[str | int]) -> list[Adapted]:
        """`adapt` of all images in one batch; each has an equal share of the batch's time."""
        given = [self._views(image, key) for image, key in zip(images, keys, strict=True)]
        start = time.perf_counter()
        views = torch.stack([self._network_input(views) for views, *_ in given])
        view = torch.stack([self._network_input(view) for _, view, *_ in given])
        with torch.no_grad(), whole_float32(), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "There is a performance drop")  # an operation that vmap runs in a loop
            gradients = vmap(grad(self._entropy), in_dims=(None, 0))(self._parameters, views)
            adapted = {name: value - self.options.lr * gradients[name] for name, value in self._parameters.items()}
            logits = vmap(self._logits)(adapted, view)[:, 0].to(self._mean.dtype).cpu().numpy()
        each = _ms(start) / len(given)
        return [Adapted(row, augment, cut, each) for row, (_, _, augment, cut) in zip(logits, given, strict=True)]

    def _own(self, value: torch.Tensor) -> torch.Tensor:
        return value.detach().to(self._device, copy=True)

    def _views(self, image: Image.Image, key: str | int) -> tuple[NDArray[Any], NDArray[Any], float, float]:
        """The random views, the prediction view, and what they took."""
        start = time.perf_counter()
        views = random_views(image, self.options, key, self._size)
        augment_ms, start = _ms(start), time.perf_counter()
        return views, render(image, [self._rule]), augment_ms, _ms(start)

    def _network_input(self, views: NDArray[Any]) -> torch.Tensor:
        pixels = torch.from_numpy(views).to(self._device).to(self._mean.dtype) / 255
        return ((pixels - self._mean) / self._std).permute(0, 3, 1, 2)

    def _logits(self, parameters: Parameters, views: torch.Tensor) -> torch.Tensor:
        strength = self.options.prior_strength
        mixed = contextlib.nullcontext() if strength is None else MixedStatistics(strength)
        quick = StridedDepthwiseInFloat32() if self._bf16 and self._device.type == "cpu" else contextlib.nullcontext()
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._bf16), mixed, quick:
            logits: torch.Tensor = functional_call(self._module, (parameters, self._buffers), (views,))
        return logits

    def _entropy(self, parameters: Parameters, views: torch.Tensor) -> torch.Tensor:
        logits = self._logits(parameters, views).to(self._mean.dtype)
        return marginal_entropy(logits if self._taking_part is None else logits[:, self._taking_part])

    def _gradient(self, views: torch.Tensor) -> Parameters:
        leaves = {name: value.detach().requires_grad_() for name, value in self._parameters.items()}
        with torch.enable_grad():
            loss = self._loss(leaves, views)
        found = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True)
        return {name: value for name, value in zip(leaves, found, strict=True) if value is not None}

    def _stepped(self, gradient: Parameters) -> Parameters:
        rate = self.options.lr
        return self._parameters | {name: self._parameters[name] - rate * value for name, value in gradient.items()}

    def _answer(self, parameters: Parameters, view: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return self._logits(parameters, view)[0].to(self._mean.dtype)

    def _compile(self, views: NDArray[Any]) -> None:
        self._prepared = True
        # Without it the inputs of depthwise convolutions are laid out anew in the backward pass: a tenth of its time.
        options: dict[str, str | int | bool | Callable[..., Any]] = {"force_layout_optimization": True}
        # Its overloads, unlike its documentation, do not have the limit yet.
        self._loss = torch.compile(  # type: ignore[call-overload]
            self._entropy, dynamic=False, fullgraph=True, options=options, recompile_limit=NETWORKS
        )
        try:
            self._gradient(self._network_input(views))
        except Exception as error:  # no compiler, or a network it cannot take: many kinds; eager raises what is real
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            note = f"MEMO runs eagerly, about half as fast: its step could not be compiled ({reason})"
            warnings.warn(note, RuntimeWarning, stacklevel=3)
            self._loss = self._entropy


def marginal_entropy(logits: torch.Tensor) -> torch.Tensor:
    """The entropy of the mean of the views' softmax, in nats; logits `[views, classes]`.

    >>> float(marginal_entropy(torch.tensor([[1000.0, 0.0], [0.0, 1000.0]])))
    0.6931471824645996
    """
    logs = torch.log_softmax(logits, dim=1).logsumexp(dim=0) - float(np.log(logits.shape[0]))
    return -(logs.exp() * logs).sum()


def _dtype(module: torch.nn.Module) -> torch.dtype:
    """The type of a network's parameters; float32 where it has none."""
    kinds = {value.dtype for value in module.parameters() if value.is_floating_point()}
    if kinds == {torch.float64}:
        return torch.float64
    if kinds - {torch.float32}:
        names = " and ".join(sorted(str(kind).removeprefix("torch.") for kind in kinds))
        raise ModelError(
            f"the model's parameters are {names}, but MEMO's step needs float32 ones; leave them in float32 and choose "
            "precision bf16"
        )
    return torch.float32


def _without_tensors(module: torch.nn.Module) -> torch.nn.Module:
    """A copy of a module that holds the very same parameters and buffers: what it computes with is handed to it."""
    return copy.deepcopy(module, {id(value): value for value in (*module.parameters(), *module.buffers())})


def _channels_last(value: torch.Tensor) -> torch.Tensor:
    return value.contiguous(memory_format=torch.channels_last) if value.ndim == 4 else value


def _ms(start: float) -> float:
    return 1000 * (time.perf_counter() - start)
