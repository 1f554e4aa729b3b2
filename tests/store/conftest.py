"""What tests of the store share."""

import pytest


@pytest.fixture
def run(tmp_path):
    """An empty run directory."""
    path = tmp_path / "run"
    (path / "parts").mkdir(parents=True)
    (path / "commits").mkdir()
    return path
