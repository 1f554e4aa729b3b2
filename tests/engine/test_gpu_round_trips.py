"""What is done on a GPU asks the host for nothing: shown on tensors without data, which no GPU is needed for.

PyTorch's fake tensors know their device. An operation that needs a value (`item`, a mask as an index, a shape that
depends on the data) raises there, and one that takes data from one device to another is seen here.
"""

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from snellen.classifiers.network import ViewNetwork
from snellen.engine.batches import full_batches
from snellen.engine.gpu import _OnDevice
from snellen.zoom import paper_grid
from snellen.zoom.bands import bands_of
from snellen.zoom.render_gpu import cut

GRID = paper_grid(scales=(16, 128, 224, 512, 1024))


class Crossings(TorchDispatchMode):
    """Counts operations, and names those whose data is on several devices; a lone number is passed with the call."""

    def __init__(self):
        super().__init__()
        self.operations, self.names = 0, []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        made = function(*args, **(kwargs or {}))
        tensors = [one for one in tree_leaves((args, kwargs, made)) if isinstance(one, torch.Tensor)]
        self.operations += 1
        if len({one.device.type for one in tensors if one.ndim}) > 1:
            self.names.append(str(function))
        return made


@pytest.mark.parametrize("shape", [(500, 375), (100, 500)], ids=["rows first", "both orders"])
def test_views_are_cut_and_answered_without_the_host(shape):
    width, height = shape
    bands, numbers = bands_of(width, height, GRID.rules)
    with FakeTensorMode():
        with torch.device("cuda"):
            pixels = torch.empty((height, width, 3), dtype=torch.uint8)
            given = torch.empty(numbers.shape, dtype=torch.int32)
            batch = torch.empty((100, 224, 224, 3), dtype=torch.uint8)
            layers = (torch.nn.Conv2d(3, 8, 3, 8), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
            network = torch.nn.Sequential(*layers, torch.nn.Linear(8, 7))
            shown = ViewNetwork(network, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), 7).eval()

        class Classifier:
            def logits_on_device(self, views):
                with torch.inference_mode():
                    return shown.logits(views).float()

        with Crossings() as seen:
            views = cut(pixels, bands, given)
            source = iter([(0, views), (1, views)])
            answers = list(full_batches(_OnDevice(Classifier()), 100, 224, source, batch, torch.cat))
    assert views.shape == (len(GRID), 224, 224, 3)
    assert [(image, logits.shape, logits.device.type) for image, logits in answers] == [
        (image, (len(GRID), 7), "cuda") for image in (0, 1)
    ]
    assert seen.operations > 200
    assert not seen.names


def test_a_crossing_would_be_seen():
    bands, numbers = bands_of(60, 40, GRID.rules[:20])
    with FakeTensorMode() as mode:
        pixels = torch.empty((40, 60, 3), dtype=torch.uint8, device="cuda")
        with Crossings() as seen:
            cut(pixels, bands, mode.from_tensor(torch.from_numpy(np.array(numbers))))
    assert seen.names == ["aten._to_copy.default"]
