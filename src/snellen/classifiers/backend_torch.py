"""Eager PyTorch: the reference that other backends are held to, and the backend where gradients are needed."""

import contextlib

import numpy as np
import torch
from numpy.typing import NDArray

from snellen.classifiers.base import ModelCard
from snellen.classifiers.network import ViewNetwork
from snellen.errors import ModelError

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


class TorchClassifier:
    """A classifier run eagerly; bf16 and fp16 are autocast over float32 weights."""

    def __init__(self, network: torch.nn.Module, card: ModelCard, device: str, precision: str) -> None:
        self._network = network.eval()
        if precision == "fp32":  # TF32 keeps 10 bits of each factor, and cuDNN uses it unless told not to
            torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
        self._device = torch.device(device)
        try:
            self._shown = ViewNetwork(network, card.mean, card.std, len(card.keys)).eval().to(self._device)
        except (RuntimeError, AssertionError) as error:
            raise ModelError(f"device {device!r} cannot be used: {str(error).splitlines()[0]}") from error
        self._dtype = DTYPES.get(precision)

    def _run(self, views: NDArray[np.uint8]) -> tuple[torch.Tensor, ...]:
        autocast = torch.autocast(self._device.type, self._dtype) if self._dtype else contextlib.nullcontext()
        with torch.inference_mode(), autocast:
            outputs: tuple[torch.Tensor, ...] = self._shown(torch.from_numpy(views).to(self._device))
        return outputs

    def logits(self, views: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Logits float32 `[n, classes]` of uint8 views `[n, size, size, 3]`."""
        return np.asarray(self._run(views)[0].float().cpu().numpy())

    def embed(self, views: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The head's input, float32 `[n, embed_dim]`."""
        outputs = self._run(views)
        if len(outputs) < 2:
            raise ModelError("this network has no linear head to take an embedding from")
        return np.asarray(outputs[1].float().cpu().numpy())

    def module(self) -> torch.nn.Module:
        """The network itself."""
        return self._network
