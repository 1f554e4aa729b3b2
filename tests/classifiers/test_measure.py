"""Measuring processes: a model that one of them cannot load or run, and who is who afterwards."""

import numpy as np
import pytest

from snellen.classifiers import prepare
from snellen.classifiers.measure import measurers
from snellen.errors import ModelError

# `fickle` loads once only; `picky` runs no batch of three.
NETS = """
from pathlib import Path
import torch

class Net(torch.nn.Module):
    def __init__(self, add):
        super().__init__()
        self.add = add

    def forward(self, x):
        if self.add == 2 and len(x) == 3:
            raise RuntimeError("no threes here\\nand much more")
        return x.mean((2, 3)).repeat(1, 334)[:, :1000] + self.add

def fickle():
    flag = Path(__file__).with_name("loaded")
    if flag.exists():
        raise RuntimeError("once is enough")
    flag.touch()
    return Net(1)

def picky():
    return Net(2)
"""


@pytest.fixture(scope="module")
def nets(tmp_path_factory):
    """Both, prepared."""
    folder = tmp_path_factory.mktemp("nets")
    (folder / "nets.py").write_text(NETS)
    made = {
        name: prepare(f"{folder / 'nets.py'}:{name}", backend="torch", measure=False) for name in ("fickle", "picky")
    }
    (folder / "loaded").unlink()
    return made


@pytest.fixture(scope="module")
def processes():
    with measurers(2, "cpu") as started:
        yield started


def test_a_model_that_only_one_process_could_load_changes_no_number(nets, processes):
    """Else the first process would then measure another model than the second."""
    with pytest.raises(ModelError, match="once is enough"):
        processes.load(nets["fickle"].with_batch(2))
    number = processes.load(nets["picky"].with_batch(2))
    views = np.random.default_rng(0).integers(0, 256, (3, 224, 224, 3), np.uint8)
    expected = nets["picky"].classifier().logits(views[:2])
    assert np.allclose(processes.logits(number, views[:2]), expected, atol=1e-5)
    assert processes.rate(number, 0.01) > 0


def test_what_a_library_raises_is_a_line_and_the_process_goes_on(nets, processes):
    with pytest.raises(ModelError, match=r"^RuntimeError: no threes here$"):
        processes.load(nets["picky"].with_batch(3))
    assert processes.rate(processes.load(nets["picky"].with_batch(4)), 0.01) > 0
