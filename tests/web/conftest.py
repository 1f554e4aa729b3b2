"""What tests of the server share: a browser for each module, and one pool of drawing processes for all."""

import pytest
from browser import chromium

from snellen.web.drawing import Drawers


@pytest.fixture(scope="module")
def browser():
    with chromium() as found:
        yield found


@pytest.fixture(scope="session")
def drawers():
    pool = Drawers(1)
    yield pool
    pool.close()
