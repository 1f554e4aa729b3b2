"""Strided depthwise convolutions in float32 under bf16 autocast on a CPU, where they are faster so."""

from collections.abc import Sequence
from typing import Any

import torch

from snellen.tta.standin import StandIn


class StridedDepthwiseInFloat32(StandIn):
    """While active, autocast leaves depthwise convolutions of stride 2 and more in float32.

    oneDNN has no quick bf16 kernel for the gradient of their inputs: it took a third of a MobileNetV2's step, three
    times and more what it takes in float32.
    """

    def __init__(self) -> None:
        super().__init__(torch.conv2d, self._conv2d)

    def _conv2d(
        self,
        x: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None = None,
        stride: int | Sequence[int] = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
    ) -> torch.Tensor:
        strided = stride > 1 if isinstance(stride, int) else max(stride) > 1
        if not (strided and 1 < groups == x.shape[-3]):
            return torch.conv2d(x, weight, bias, stride, padding, dilation, groups)
        with torch.autocast("cpu", enabled=False):
            x, bias = x.float(), None if bias is None else bias.float()
            return torch.conv2d(x, weight.float(), bias, stride, padding, dilation, groups)
