"""What tests of the grid ask of it."""

import re
from typing import Any

from waits import wait_page

# Images of the made-up site that is served to most of them.
N = 3000
SCROLLER = ".scroller"
# Half a second at sixty frames a second; counted in frames, since a busy machine draws fewer.
BLANK_FRAMES = 30
# Scrolls down in so many steps, a frame each; what was seen on the way: most cells, and most frames in a row in which
# the window had a place without a cell.
SCROLL = """async (steps) => {
  const scroller = document.querySelector('.scroller');
  const box = scroller.getBoundingClientRect();
  const watch = { longest: 0, cells: 0, frames: 0 };
  let blank = 0;
  const full = scroller.scrollHeight;
  for (let step = 1; step <= steps; step += 1) {
    scroller.scrollTop = full * step / steps;
    await new Promise(requestAnimationFrame);
    const heights = [0.1, 0.5, 0.9].map((share) => box.top + share * box.height);
    blank = heights.some((y) => !document.elementFromPoint(box.left + 60, y)?.closest('.cell')) ? blank + 1 : 0;
    watch.longest = Math.max(watch.longest, blank);
    watch.cells = Math.max(watch.cells, document.querySelectorAll('.cell').length);
    watch.frames += 1;
  }
  return watch;
}"""
MIDDLE = """(n) => [...document.querySelectorAll('.cell a')].some((link) =>
  Math.abs(Number(link.dataset.place) - n / 2) < 200 && link.querySelector('img')?.complete)"""


def field(page: Any, name: str) -> Any:
    """A field of the filters."""
    return page.get_by_role("combobox", name=name, exact=True)


def count(page: Any) -> int:
    """How many images the page says it shows; -1 while it does not say."""
    text = page.locator(".count b").inner_text().replace(",", "")
    return int(text) if text.isdecimal() else -1


def rows(page: Any) -> list[int]:
    """Rows of the cells on the page, in the order of their places."""
    links = page.eval_on_selector_all(
        ".cell a", "all => all.map(a => [Number(a.dataset.place), a.getAttribute('href')])"
    )
    return [int(re.search(r"/image/(\d+)", href)[1]) for _, href in sorted(links)]  # type: ignore[index]


def begins(page: Any, expected: list[int]) -> bool:
    """Whether the page shows images in that order from its top, as many as it has cells for."""
    shown = rows(page)
    return bool(shown) == bool(expected) and shown == expected[: len(shown)]


def scroll_through(page: Any, steps: int) -> tuple[dict[str, int], list[int]]:
    """Scroll from the top to the bottom, then jump into the middle; what was seen, and the rows at the bottom."""
    page.wait_for_selector(".cell")
    watch = page.evaluate(SCROLL, steps)
    wait_page(page, "(n) => document.querySelector(`[data-place='${n - 1}']`) !== null", count(page))
    end = rows(page)
    page.eval_on_selector(SCROLLER, "one => { one.scrollTop = one.scrollHeight / 2; }")
    wait_page(page, MIDDLE, count(page))
    return watch, end
