"""Batch norm by stored statistics mixed with those of the batch, without touching the network or its classes."""

import torch
from torch.nn import functional

from snellen.tta.standin import StandIn


class MixedStatistics(StandIn):
    """While active, batch norm of images takes N / (N + 1) of its stored statistics and 1 / (N + 1) of the batch's.

    It stands in for `torch.nn.functional.batch_norm` on inputs `[n, channels, h, w]` in evaluation mode, so it covers
    `BatchNorm2d` and whatever derives from it (timm's `BatchNormAct2d`), and nothing outside the `with` block.
    Layers that keep no statistics, and batch norm of vectors, are as ever.

    As in MEMO's code, the batch's variance is the unbiased one, and its statistics count as constants: no gradient
    goes through them. Sources: Schneider et al. 2020, arXiv 2006.16971; MEMO, arXiv 2110.09506.
    """

    def __init__(self, prior_strength: float) -> None:
        super().__init__(functional.batch_norm, self._batch_norm)
        self._stored = prior_strength / (prior_strength + 1)

    def _batch_norm(
        self,
        x: torch.Tensor,
        running_mean: torch.Tensor | None,
        running_var: torch.Tensor | None,
        weight: torch.Tensor | None = None,
        bias: torch.Tensor | None = None,
        training: bool = False,
        momentum: float = 0.1,
        eps: float = 1e-5,
    ) -> torch.Tensor:
        if training or x.ndim != 4 or running_mean is None or running_var is None:
            return functional.batch_norm(x, running_mean, running_var, weight, bias, training, momentum, eps)
        mean, var = image_statistics(x.detach())
        mean = self._stored * running_mean + (1 - self._stored) * mean
        var = self._stored * running_var + (1 - self._stored) * var
        return functional.batch_norm(x, mean, var, weight, bias, False, momentum, eps)


def image_statistics(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and unbiased variance of each channel of `x` `[n, channels, h, w]`, float32 (float64 of float64).

    Squares are summed after the mean of every 64th pixel was taken off: in one pass, and the variance is not the small
    difference of large numbers.
    """
    count = x.shape[0] * x.shape[2] * x.shape[3]
    x = x.to(torch.promote_types(x.dtype, torch.float32))
    near = x[:, :, ::8, ::8].mean((0, 2, 3))
    rest = x - near[:, None, None]
    first, second = rest.sum((0, 2, 3)) / count, (rest * rest).sum((0, 2, 3)) / count
    return near + first, (second - first * first) * (count / max(count - 1, 1))
