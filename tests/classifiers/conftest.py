"""What tests of networks share."""

import pytest


@pytest.fixture(scope="module")
def one_thread():
    """Run PyTorch on one thread: on small tensors its threads only wait for each other."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
