"""How far a backend's logits may lie from those of eager PyTorch in float32."""

import numpy as np
from numpy.typing import NDArray

from snellen.errors import ModelError

# Largest difference of a logit, over 1 + the largest logit. In float32 sums are only taken in another order. The others
# are about three times what rounding to 11 and 8 bits made of four convolutional networks in PyTorch and OpenVINO, on
# photographs and on noise: 0.007 and 0.072 (benchmarks/backends.py prints it). A wrong network is off by about 1.
TOLERANCE = {"fp32": 1e-3, "fp16": 2e-2, "bf16": 2e-1}


def apart(logits: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    """The largest difference between logits and the expected ones, over 1 + the largest of these; nan where one is."""
    return float(np.abs(logits - expected).max() / (1 + np.abs(expected).max()))


def check_agreement(
    what: str, logits: NDArray[np.float32], expected: NDArray[np.float32], precision: str = "fp32"
) -> None:
    """Raise ModelError where the logits of `what` differ by more than the precision's tolerance."""
    found = apart(logits, expected)
    if not found <= TOLERANCE[precision]:
        raise ModelError(f"{what}'s logits differ from PyTorch's by {found:.1e} of their size; use --backend torch")
