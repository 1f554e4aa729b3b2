"""What tests of data sets share: the shipped photographs, as bytes and as rows of a miniature of ImageNet-Hard."""

import pytest
from hard_rows import hard_rows


@pytest.fixture(scope="session")
def photos(examples_dir):
    """The bytes of the shipped photographs."""
    return [path.read_bytes() for path in sorted(examples_dir.glob("*.jpg"))]


@pytest.fixture(scope="session")
def rows(examples_dir):
    """The rows of a miniature of ImageNet-Hard."""
    return hard_rows(examples_dir)
