"""PyTorch: eagerly, the reference that other backends are held to; and compiled, for one size of batch.

float32 is float32: TF32, which keeps 10 bits of each factor, is off while a network runs, and then as it was. cuDNN
chooses its algorithms by its rules and not by timing them (`cudnn.benchmark` stays off), so that every worker, and a
resumed run, computes with the same.
"""

from contextlib import AbstractContextManager

import numpy as np
import torch
from numpy.typing import NDArray

from snellen.classifiers.agreement import check_agreement
from snellen.classifiers.base import ModelCard
from snellen.classifiers.borrowed import whole_float32
from snellen.classifiers.network import ViewNetwork
from snellen.errors import ModelError

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


class TorchClassifier:
    """A classifier run eagerly; bf16 and fp16 are autocast over float32 weights."""

    def __init__(self, network: torch.nn.Module, card: ModelCard, device: str, precision: str) -> None:
        self._network = network.eval()
        self._device = torch.device(device)
        try:
            self._shown = ViewNetwork(network, card.mean, card.std, len(card.keys)).eval().to(self._device)
        except (RuntimeError, AssertionError) as error:
            raise ModelError(f"device {device!r} cannot be used: {str(error).splitlines()[0]}") from error
        self._dtype = DTYPES.get(precision)

    def _as_asked(self) -> AbstractContextManager[object]:
        return torch.autocast(self._device.type, self._dtype) if self._dtype else whole_float32()

    def logits_on_device(self, views: torch.Tensor) -> torch.Tensor:
        """Logits float32 `[n, classes]` of uint8 views `[n, size, size, 3]`, both on its device; nothing is waited for.

        The caller's own: a later call does not write over it.
        """
        with torch.inference_mode(), self._as_asked():
            return self._shown.logits(views).float()

    def logits(self, views: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Logits float32 `[n, classes]` of uint8 views `[n, size, size, 3]`."""
        return np.asarray(self.logits_on_device(torch.from_numpy(views).to(self._device)).cpu().numpy())

    def embed(self, views: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The head's input, float32 `[n, embed_dim]`; eagerly in the compiled form too."""
        with torch.inference_mode(), self._as_asked():
            outputs = self._shown(torch.from_numpy(views).to(self._device))
        if len(outputs) < 2:
            raise ModelError("this network has no linear head to take an embedding from")
        return np.asarray(outputs[1].float().cpu().numpy())

    def module(self) -> torch.nn.Module:
        """The network itself."""
        return self._network


class CompiledClassifier(TorchClassifier):
    """A classifier compiled for batches of `batch` views, in channels-last; fewer are filled up with black ones.

    The weights are constants of the compiled code: normalisations are folded into convolutions, and casts are done
    once. On a GPU the whole batch is one CUDA graph. Kernels that are chosen by timing them (`max-autotune`) are not
    used: two workers could choose differently.

    Raises ModelError where PyTorch cannot compile the network, its logits on noise are not the network's, or the device
    has too little memory for a batch.
    """

    def __init__(self, network: torch.nn.Module, card: ModelCard, device: str, precision: str, batch: int) -> None:
        super().__init__(network, card, device, precision)
        size = card.view_size
        views = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, size, size, 3), np.uint8))
        with torch.inference_mode(), whole_float32():
            expected = self._shown.logits(views.to(self._device)).cpu().numpy()
        self._shown.to(memory_format=torch.channels_last)
        self._compiled = torch.compile(self._shown.logits, dynamic=False, options={"freezing": True})
        self._batch = torch.zeros((batch, size, size, 3), dtype=torch.uint8, device=self._device)
        self._graph: torch.cuda.CUDAGraph | None = None
        try:
            self._answers = self._forward()
            if self._device.type == "cuda":
                self._capture()
            got = self.logits(views[:batch].numpy())
        except torch.OutOfMemoryError as error:
            raise ModelError(
                f"{device} has too little memory for batches of {batch} views; choose a smaller --batch-size"
            ) from error
        except Exception as error:  # the compiler raises many kinds
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise ModelError(f"PyTorch cannot compile this network ({reason}); use --backend torch") from error
        check_agreement("compiled PyTorch", got, expected[:batch], precision)

    def _forward(self) -> torch.Tensor:
        # Not inference_mode: the compiler does not fold weights into tensors that were made in it.
        with torch.no_grad(), self._as_asked():
            answers: torch.Tensor = self._compiled(self._batch)
            return answers.float()

    def _capture(self) -> None:
        """Record the batch's kernels, to be started with one call; a network that waits for the GPU goes without."""
        stream = torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(stream):  # what is made ready at a first call must not be recorded
            for _ in range(3):
                self._forward()
        torch.cuda.current_stream(self._device).wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.device(self._device), torch.cuda.graph(graph):
                self._answers = self._forward()
        except torch.OutOfMemoryError:
            raise
        except RuntimeError:
            torch.cuda.synchronize(self._device)
            return
        self._graph = graph

    def logits_on_device(self, views: torch.Tensor) -> torch.Tensor:
        """As the eager one's, of at most `batch` views; one call at a time, since they share the batch's memory."""
        n = len(views)
        self._batch[:n].copy_(views)
        self._batch[n:].zero_()
        if self._graph is not None:
            self._graph.replay()
        else:
            self._answers = self._forward()
        return self._answers[:n].clone()
