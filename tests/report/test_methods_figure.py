"""The figure of test-time methods: what is written in it, and that no point hides another or leaves the axes."""

import itertools
import re

import numpy as np
import pytest

from snellen.analysis.accuracy import share
from snellen.analysis.methods import MethodResult, MethodResults, pareto
from snellen.report.figures.methods import methods_figure
from snellen.report.figures.style import save


def results(points):
    """Methods of (name, forwards, ms, right of 40)."""
    shares = [share(np.arange(40) < right) for *_, right in points]
    fronts = [pareto([point[axis] for point in points], [s.value for s in shares]) for axis in (1, 2)]
    rows = [
        MethodResult(name, s, 0, forwards, ms, ms / 2, (bool(f), bool(t)), points[0][0], None, None, [], 0)
        for (name, forwards, ms, _), s, f, t in zip(points, shares, *fronts, strict=True)
    ]
    return MethodResults("a/model", "photos", "photos", "real", "bf16", "out", rows, [])


MANY = [(f"m{k}", cost, 7.0 * cost, 20 + k % 9) for k, cost in enumerate([1, 1, 1, 5, 9, 10, 10, 36, 36, 234, 36, 9])]
NARROW = [("center", 1, 31.0, 30), ("own", 1, 31.5, 30), ("1crop", 1, 48.0, 28)]
UNTIMED = [("1crop", 1, float("nan"), 30), ("mean:paper:in", 234, float("nan"), 35)]


def words(figure):
    return re.findall(r"<text[^>]*>([^<]*)</text>", save(figure, ["svg"])["svg"].decode())


@pytest.mark.parametrize("points", [MANY, NARROW, UNTIMED, MANY[:1]])
def test_every_word_can_be_read(points):
    found = words(methods_figure(results(points)))
    assert {name for name, *_ in points} <= set(found)
    assert "a/model on photos (bf16), labels real, n = 40" in "".join(found)
    ticks = [word for word in found if re.fullmatch(r"[\d.,e+]+", word)]
    assert len(ticks) >= 4
    assert not [word for word in found if "$" in word or word.endswith(".0")]


@pytest.mark.parametrize("points", [MANY, NARROW])
def test_no_point_hides_another_or_leaves_the_axes(points):
    figure = methods_figure(results(points))
    save(figure, ["png"])  # lays it out
    for panel in figure.axes:
        marks = [line for line in panel.lines if line.get_marker() not in ("None", "")]
        assert len(marks) == len(points)
        assert len({(line.get_color(), line.get_marker()) for line in marks}) == len(points)
        spots = [line.get_transform().transform(line.get_xydata())[0] for line in marks]
        for one, other in itertools.combinations(spots, 2):
            assert np.abs(one - other).max() > 5 / 72 * figure.dpi
        assert all(panel.bbox.contains(*spot) for spot in spots)


def test_hollow_marks_and_the_front_are_explained_where_there_are_any():
    alone = words(methods_figure(results(UNTIMED[:1])))
    both = words(methods_figure(results(UNTIMED)))
    beaten = words(methods_figure(results([UNTIMED[0], ("10crop", 10, float("nan"), 20)])))
    assert "front" not in alone
    assert "front" in both
    assert not any("hollow" in word for word in alone + both)
    assert any("hollow" in word for word in beaten)
