"""One torch function replaced by another while a `with` block runs, without touching the network or its classes."""

from collections.abc import Callable, Sequence
from typing import Any

from torch.overrides import TorchFunctionMode


class StandIn(TorchFunctionMode):
    """While active, calls of one torch function go to another, here and nowhere else.

    replaced: the function that is stood in for; by: what is called instead, with the same arguments. Inside `by`, the
    mode is off.
    """

    def __init__(self, replaced: Callable[..., Any], by: Callable[..., Any]) -> None:
        super().__init__()
        self._replaced, self._by = replaced, by

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Call `func`, or what stands in for it."""
        return (self._by if func is self._replaced else func)(*args, **(kwargs or {}))
