"""A torch network as Snellen runs it: uint8 views in, logits and the head's input out."""

import torch
from torch import nn

from snellen.errors import ModelError


class ViewNetwork(nn.Module):
    """Normalises uint8 views `[n, h, w, 3]` and runs `network`; returns logits and, if any, the embedding.

    The embedding is what the last linear layer with as many outputs as classes is fed.
    """

    def __init__(self, network: nn.Module, mean: tuple[float, ...], std: tuple[float, ...], classes: int) -> None:
        super().__init__()
        self.network = network
        self.mean: torch.Tensor
        self.std: torch.Tensor
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1))
        heads = [m for m in network.modules() if isinstance(m, nn.Linear) and m.out_features == classes]
        self.embed_dim = heads[-1].in_features if heads else 0
        self._heads = heads[-1:]  # in a list, so that it is not registered a second time as a part of this module

    def logits(self, views: torch.Tensor) -> torch.Tensor:
        """Logits `[n, classes]` alone, without the hooks that a compiler cannot follow."""
        pixels = views.permute(0, 3, 1, 2).float() / 255  # channels-last in memory, as the views are
        logits: torch.Tensor = self.network((pixels - self.mean) / self.std)
        return logits

    def forward(self, views: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Logits `[n, classes]`, and the embedding `[n, embed_dim]` where there is one."""
        seen: list[torch.Tensor] = []
        # The network may be the user's own object: it carries the hook only while it runs.
        hooks = [h.register_forward_pre_hook(lambda _, given: seen.append(given[0])) for h in self._heads]
        try:
            logits = self.logits(views)
        finally:
            for hook in hooks:
                hook.remove()
        return (logits, seen[-1]) if seen and seen[-1].ndim == 2 else (logits,)


class ZeroShot(nn.Module):
    """A two-tower model as a classifier of images: its scale times the cosine to each class's text features.

    features: maps normalised views to image features `[n, width]` (or a tuple that starts with them).
    head: text features `[classes, width]`, rows of length 1. As the weight of a linear layer, it makes the
        normalised image features the network's embedding.
    """

    def __init__(self, features: nn.Module, head: torch.Tensor, scale: float) -> None:
        super().__init__()
        self.features = features
        self.head = nn.Linear(head.shape[1], head.shape[0], bias=False)
        self.head.weight = nn.Parameter(head)
        self.scale = scale

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Logits `[n, classes]` of normalised views `[n, 3, size, size]`."""
        features = self.features(pixels)
        features = features[0] if isinstance(features, tuple) else features
        logits: torch.Tensor = self.scale * self.head(nn.functional.normalize(features, dim=-1))
        return logits


def probe(network: nn.Module, sizes: tuple[int, ...], device: torch.device | None = None) -> tuple[int, int]:
    """The first of `sizes` that the network accepts, and the width of its logits there; ModelError if none.

    device: where its parameters are; the CPU where None.
    """
    failure: Exception | None = None
    for size in sizes:
        try:
            with torch.inference_mode():
                output = network(torch.zeros(1, 3, size, size, device=device))
        except Exception as error:  # a network may raise anything on a size that is not its own
            failure = failure or error
            continue
        if not isinstance(output, torch.Tensor) or output.ndim != 2:
            shape = list(output.shape) if isinstance(output, torch.Tensor) else type(output).__name__
            raise ModelError(f"the network returned {shape}; expected logits [images, classes]")
        return size, output.shape[1]
    kinds = {value.dtype for value in network.parameters() if value.is_floating_point()} - {torch.float32}
    if kinds:
        kind = str(kinds.pop()).removeprefix("torch.")
        raise ModelError(
            f"the network's parameters are {kind}: expected float32 ones; leave them so and choose --precision bf16 or "
            "fp16, which casts as it runs"
        )
    reason = (str(failure).splitlines() or [type(failure).__name__])[0]
    raise ModelError(f"the network cannot run on views of {' or '.join(map(str, sizes))} pixels: {reason}")
