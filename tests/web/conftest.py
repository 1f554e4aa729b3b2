"""One pool of drawing processes for all tests of the server."""

import pytest

from snellen.web.drawing import Drawers


@pytest.fixture(scope="session")
def drawers():
    pool = Drawers(1)
    yield pool
    pool.close()
