"""The way along the scales: its ends, its direction, its evenness, and that it cuts as the study does."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snellen.zoom import SCALES, Zoom
from snellen.zoom.path import HOLD, zoom_path

ENDS = st.tuples(st.integers(1, 4096), st.integers(1, 4096))


@given(ENDS, st.integers(2, 400), st.integers(16, 600))
def test_it_goes_from_one_scale_to_the_other_and_never_back(scales, frames, size):
    path = zoom_path(scales, (0, 2), frames, size)
    assert len(path) == frames
    assert (path[0].scale, path[-1].scale) == scales
    steps = np.diff([rule.resize for rule in path])
    assert (steps >= 0).all() if scales[0] <= scales[1] else (steps <= 0).all()
    assert {(rule.row, rule.col, rule.size, rule.anchor, rule.filter) for rule in path} == {
        (0, 2, size, "thirds", "bicubic")
    }
    assert all(rule.resize == max(1, round(rule.resize)) for rule in path)


def test_it_looks_steady():
    """The factor from frame to frame rises to the middle and falls after it, and the ends stand still."""
    path = zoom_path((64, 1024), (1, 1), 101)
    factor = np.diff(np.log([rule.resize for rule in path]))
    held = int(100 * HOLD)
    assert (factor[:held] == 0).all()
    assert (factor[-held:] == 0).all()
    smooth = np.convolve(factor, np.ones(9) / 9, "valid")
    middle = len(smooth) // 2
    assert (np.diff(smooth[: middle - 3]) > -2e-3).all()
    assert (np.diff(smooth[middle + 3 :]) < 2e-3).all()
    assert factor.max() < 2 * np.log(16) / 84  # smoothstep is never faster than 1.5 times its average
    np.testing.assert_allclose(path[50].resize, 256, atol=1)


@pytest.mark.parametrize("size", [224, 240, 336])
@pytest.mark.parametrize("scale", SCALES)
def test_at_a_scale_of_the_study_it_is_the_zoom_of_the_study(scale, size):
    assert zoom_path((scale, scale), (2, 1), 2, size)[0] == Zoom(scale, 2, 1).rule(size)


def test_one_frame():
    assert [rule.resize for rule in zoom_path((32, 64), (0, 0), 1)] == [32]
