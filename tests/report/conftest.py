"""What tests of reports share."""

import pytest
from table_reading import SMALL
from two_runs import runs_of

import snellen


@pytest.fixture
def three(make_run, tmp_path):
    """Three made-up models on the same 40 images: truths and runs."""
    truths = runs_of(make_run, tmp_path, 3, 40, grid=SMALL, classes=9)
    return truths, [snellen.load_run(truth.path) for truth in truths]
