"""Waiting for a state: by looking again until it holds, so that a busy machine is only slower."""

import time
from collections.abc import Callable
from typing import Any

PATIENCE = 60  # seconds


def wait_until(holds: Callable[[], object]) -> None:
    """Look until it holds; AssertionError where it does not come to."""
    until = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < until, "it does not come to hold"
        time.sleep(0.02)


def wait_equal(look: Callable[[], Any], expected: Any) -> None:
    """Look until what is seen is as expected; AssertionError with both where it does not come to be."""
    until = time.monotonic() + PATIENCE
    while (seen := look()) != expected:
        assert time.monotonic() < until, f"{seen!r} is not {expected!r}"
        time.sleep(0.02)


def wait_page(page: Any, expression: str, arg: Any = None) -> None:
    """Evaluate in a page until it is true; playwright's own way does so inside the page, which its policy forbids."""
    wait_until(lambda: page.evaluate(expression, arg))
