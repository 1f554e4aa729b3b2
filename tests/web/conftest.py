"""What tests of the server share: a browser, a site and a hard set for each module, one pool of drawing processes."""

import pytest
from browser import chromium
from grid_page import N
from review_site import pictures, server_of
from view_site import make_site, serve

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


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A made-up site of N images and two models."""
    return make_site(tmp_path_factory.mktemp("grid"), N)


@pytest.fixture(scope="module")
def address(site):
    """Where it is served."""
    with serve(site.folder) as found:
        yield found


@pytest.fixture(scope="module")
def hard(tmp_path_factory):
    """A hard set of 200 pictures, and its images in its order."""
    return pictures(tmp_path_factory.mktemp("review"), 200)


@pytest.fixture(scope="module")
def server(hard, tmp_path_factory):
    """`snellen view` on it."""
    with server_of(hard[0], tmp_path_factory.mktemp("cache")) as running:
        yield running


@pytest.fixture
def context(browser):
    """A browser that was never here; what is in its storage goes with it."""
    found = browser.new_context(viewport={"width": 1280, "height": 900})
    found.set_default_timeout(60_000)
    yield found
    found.close()
