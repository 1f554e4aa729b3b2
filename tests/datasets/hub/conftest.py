"""A repository of two files of validation, what must be seen of it, and a stand-in for the Hub."""

import pytest
from hard_rows import write_rows
from hub_copies import ONE_A_SPLIT, VALIDATION
from hub_stub import serving


@pytest.fixture(scope="session")
def files(rows, tmp_path_factory):
    """The repository: two files of validation, whose row groups hold three rows."""
    folder = tmp_path_factory.mktemp("made")
    half = -(-len(rows) // 2)
    answer = {"README.md": ONE_A_SPLIT.encode()}
    for k, path in enumerate(VALIDATION):
        write_rows(rows[k * half : (k + 1) * half], folder / str(k), 3)
        answer[path] = (folder / str(k)).read_bytes()
    return answer


@pytest.fixture(scope="session")
def truth(rows):
    """What any way of opening the repository must show."""
    half = -(-len(rows) // 2)
    return {
        "ids": [f"validation-{k // half:05d}-of-00002:{k % half}" for k in range(len(rows))],
        "labels": [sorted(row.labels) for row in rows],
        "origins": [row.origin for row in rows],
    }


@pytest.fixture
def hub(tmp_path):
    """The stand-in, and the environment in which a process finds it and an empty cache."""
    with serving() as hub:
        hub.environment = {"HF_ENDPOINT": hub.endpoint, "HF_HOME": str(tmp_path / "home")}
        yield hub
