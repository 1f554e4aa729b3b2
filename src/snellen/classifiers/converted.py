"""What backends that run a converted network share."""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from snellen.errors import ModelError

if TYPE_CHECKING:
    import torch


class ConvertedClassifier(ABC):
    """A network compiled for batches of `batch` views; fewer are filled up with black ones.

    outputs: 2 where the network also gives the head's input, else 1.
    text: the spec that loads the network in PyTorch; "" for one that was given as an object.
    """

    def __init__(self, batch: int, outputs: int, text: str) -> None:
        self._batch, self._outputs, self._text = batch, outputs, text

    @abstractmethod
    def _infer(self, views: NDArray[np.uint8], output: int) -> NDArray[np.float32]:
        """One output of a whole batch, float32 `[batch, …]`; what is returned may be written over by the next call."""

    def _run(self, views: NDArray[np.uint8], output: int) -> NDArray[np.float32]:
        n = len(views)
        if n < self._batch:
            views = np.concatenate([views, np.zeros((self._batch - n, *views.shape[1:]), np.uint8)])
        return np.array(self._infer(views, output)[:n], np.float32)

    def logits(self, views: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Logits float32 `[n, classes]` of uint8 views `[n, size, size, 3]`, n at most the compiled batch."""
        return self._run(views, 0)

    def embed(self, views: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The head's input, float32 `[n, embed_dim]`; ModelError where there is none."""
        if self._outputs < 2:
            raise ModelError("this network has no linear head to take an embedding from")
        return self._run(views, 1)

    def module(self) -> "torch.nn.Module":
        """The network, loaded afresh in PyTorch from its spec."""
        if not self._text:
            raise ModelError("a network given as an object is not reachable from its converted form; use it directly")
        from snellen.classifiers.sources import load
        from snellen.classifiers.spec import parse_spec

        return load(parse_spec(self._text)).module
