"""Text on pictures: it fits, and what is left of it is still the text."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snellen.report.lettering import GREY, INK, RIGHT, WRONG, elided, font, joined


@given(st.text(max_size=60), st.integers(20, 400))
def test_elided_text_fits_on_one_line(text, width):
    face = font(14)
    line = elided(text, face, width)
    assert face.getlength(line) <= width
    assert line.isprintable()
    shown = "".join(c if c.isprintable() else "\ufffd" for c in text)
    if line != shown:
        start, _, end = line.partition("…")
        assert shown.startswith(start)
        assert shown.endswith(end)
        assert face.getlength(shown) > width
        assert abs(len(start) - len(end)) <= 1 or "…" in shown


@pytest.mark.parametrize("colour", [INK, GREY, RIGHT, WRONG])
def test_text_has_the_contrast_that_wcag_aa_asks_for(colour):
    parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    light = sum(weight * p for weight, p in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
    assert 1.05 / (light + 0.05) >= 4.5


def test_the_font_has_what_is_written():
    """A character that a font lacks is drawn as its character 0, a box."""
    box = font(20).getmask("\U0010ffff")
    for text in "✓✗●·…é":
        mask = font(20).getmask(text)
        assert (mask.size, bytes(mask)) != (box.size, bytes(box)), text


def test_the_font_costs_no_import_of_matplotlib():
    code = "import sys; from snellen.report.lettering import font; font(12); print('matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_joined():
    assert [joined(words) for words in ([], ["a"], ["a", "b"], ["a", "b", "c"])] == ["", "a", "a or b", "a, b or c"]
