"""OpenVINO on CPUs: a converted network, one compiled graph for logits and embedding. Never imports torch."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from snellen.errors import ModelError

if TYPE_CHECKING:
    import torch

os.environ.setdefault("OPENVINO_TELEMETRY_DISABLE", "1")

HINTS = {"fp32": "f32", "bf16": "bf16", "fp16": "f16"}
CAPABILITIES = {"fp32": "FP32", "bf16": "BF16", "fp16": "FP16"}


class OpenVinoClassifier:
    """A network compiled for batches of `batch` views on `threads` threads; the caller's CPU affinity is kept."""

    def __init__(self, model: Path, precision: str, batch: int, threads: int = 1, text: str = "") -> None:
        import openvino

        self._text = text
        core = openvino.Core()
        has = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        if CAPABILITIES[precision] not in has:
            raise ModelError(
                f"this CPU has no {precision}; it has {', '.join(p for p, c in CAPABILITIES.items() if c in has)}"
            )
        network = core.read_model(model)
        shape = network.input(0).partial_shape
        self._batch = batch
        network.reshape([batch, *(shape[axis].get_length() for axis in (1, 2, 3))])
        compiled = core.compile_model(
            network,
            "CPU",
            {
                "INFERENCE_PRECISION_HINT": HINTS[precision],
                "INFERENCE_NUM_THREADS": threads,
                "NUM_STREAMS": 1,
                # Two processes that both pin from core 0 share it and halve each other's speed.
                "ENABLE_CPU_PINNING": False,
            },
        )
        self._request = compiled.create_infer_request()
        self._outputs = len(compiled.outputs)

    def _run(self, views: NDArray[np.uint8], output: int) -> NDArray[np.float32]:
        n = len(views)
        if n < self._batch:
            views = np.concatenate([views, np.zeros((self._batch - n, *views.shape[1:]), np.uint8)])
        self._request.infer([views], share_inputs=True)
        return np.array(self._request.get_output_tensor(output).data[:n], np.float32)

    def logits(self, views: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Logits float32 `[n, classes]` of uint8 views `[n, size, size, 3]`, n at most the compiled batch."""
        return self._run(views, 0)

    def embed(self, views: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The head's input, float32 `[n, embed_dim]`."""
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
