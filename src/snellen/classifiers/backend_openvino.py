"""OpenVINO on CPUs: a converted network, one compiled graph for logits and embedding. Never imports torch."""

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from snellen.classifiers.converted import ConvertedClassifier
from snellen.errors import ModelError

os.environ.setdefault("OPENVINO_TELEMETRY_DISABLE", "1")

# In an int8 network what was not quantised stays float32, whatever else the CPU could do.
HINTS = {"fp32": "f32", "bf16": "bf16", "fp16": "f16", "int8": "f32"}
CAPABILITIES = {"fp32": "FP32", "bf16": "BF16", "fp16": "FP16", "int8": "INT8"}


class OpenVinoClassifier(ConvertedClassifier):
    """A network compiled for batches of `batch` views on `threads` threads; the caller's CPU affinity is kept."""

    def __init__(self, model: Path, precision: str, batch: int, threads: int = 1, text: str = "") -> None:
        import openvino

        core = openvino.Core()
        has = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        if CAPABILITIES[precision] not in has:
            raise ModelError(
                f"this CPU has no {precision}; it has {', '.join(p for p, c in CAPABILITIES.items() if c in has)}"
            )
        network = core.read_model(model)
        shape = network.input(0).partial_shape
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
        super().__init__(batch, len(compiled.outputs), text)

    def _infer(self, views: NDArray[np.uint8], output: int) -> NDArray[np.float32]:
        self._request.infer([views], share_inputs=True)
        found: NDArray[np.float32] = self._request.get_output_tensor(output).data
        return found
