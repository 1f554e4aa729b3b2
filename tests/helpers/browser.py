"""A real browser that looks at pages: what it complains about, asks for and lays out."""

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

CANDIDATES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


def find_browser() -> str | None:
    """The path of a Chromium that is installed, or None."""
    return next((path for name in CANDIDATES if (path := shutil.which(name))), None)


@contextlib.contextmanager
def chromium() -> Iterator[Any]:
    """A headless Chromium; the test is skipped where there is none."""
    path = find_browser()
    if path is None:
        pytest.skip(f"no browser: none of {', '.join(CANDIDATES)} is on PATH")
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (the extra `test`)")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@dataclass
class Visit:
    """An open page, with what it said on the console and what it asked for beside itself."""

    page: Any
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def overflow(self) -> int:
        """Pixels by which the page is wider than its window; 0 where nothing scrolls sideways."""
        return int(self.page.evaluate("Math.max(0, document.scrollingElement.scrollWidth - innerWidth)"))

    def show_images(self) -> None:
        """Decode every image, also those that wait to be scrolled to."""
        self.page.evaluate(
            "Promise.all([...document.images].map(i => (i.loading = 'eager', i.decode().catch(() => null))))"
        )

    def violations(self) -> list[str]:
        """What axe-core finds, best practices included: rule and the elements, one a line."""
        from axe_playwright_python.sync_playwright import Axe

        found = Axe().run(self.page).response["violations"]
        return [f"{rule['id']}: {node['html'][:200]}" for rule in found for node in rule["nodes"]]


@contextlib.contextmanager
def visit(browser: Any, path: Path, *, width: int = 1400, scheme: str = "light") -> Iterator[Visit]:
    """A file opened in a window of that width, by readers who prefer `light` or `dark`."""
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, device_scale_factor=1, offline=True
    )
    seen = Visit(context.new_page())
    seen.page.on("console", lambda message: seen.complaints.append(f"{message.type}: {message.text}"))
    seen.page.on("pageerror", lambda error: seen.complaints.append(f"error: {error}"))
    address = path.resolve().as_uri()

    def note(request: Any) -> None:
        if request.url != address and not request.url.startswith("data:"):
            seen.requests.append(request.url)

    seen.page.on("request", note)
    seen.page.goto(address)
    seen.page.wait_for_load_state("load")
    yield seen
    context.close()
