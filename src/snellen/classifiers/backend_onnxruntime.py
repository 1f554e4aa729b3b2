"""ONNX Runtime on CPUs, in float32: an exported network. Never imports torch."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from snellen.classifiers.converted import ConvertedClassifier

# What the exported network calls its input, the outputs and the first axis.
VIEWS, OUTPUTS, BATCH = "views", ("logits", "embedding"), "batch"


class OnnxClassifier(ConvertedClassifier):
    """A network for batches of `batch` views on `threads` threads; the caller's CPU affinity is kept."""

    def __init__(self, model: Path, batch: int, threads: int = 1, text: str = "") -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.add_free_dimension_override_by_name(BATCH, batch)
        options.inter_op_num_threads = 1
        # With one thread it starts none of its own, and stays on the core of the worker that calls it.
        options.intra_op_num_threads = threads
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
        super().__init__(batch, len(self._session.get_outputs()), text)

    def _infer(self, views: NDArray[np.uint8], output: int) -> NDArray[np.float32]:
        found: NDArray[np.float32] = self._session.run([OUTPUTS[output]], {VIEWS: views})[0]
        return found
