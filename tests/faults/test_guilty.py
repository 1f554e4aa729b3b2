"""Images that end the process that reads them: found, listed, left out, and nothing else with them."""

import pytest
from disturbed import KINDS, run
from PIL import Image

import snellen

KILLER = """
import os, signal
import torch

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.head = torch.nn.Linear(3, 1000)

    def forward(self, x):
        means = x.mean((2, 3))
        if ((means[:, 0] > 2.2) & (means[:, 1] < -2.0)).any():
            os.kill(os.getpid(), signal.SIGKILL)
        return self.head(means)

def net():
    torch.manual_seed(0)
    return Net()
"""


def test_image_that_kills_its_worker_is_found_and_listed(own_pictures, tmp_path, tally):
    """Two guilty pictures in one run: pure magenta is 2.25 in normalised red and -2.04 in green."""
    for name in ("n01440764/77.png", "n01484850/78.png"):
        Image.new("RGB", (300, 280), (255, 0, 255)).save(own_pictures / name)
    for path in sorted(own_pictures.glob("*/*.png"))[::2]:
        if path.stem not in ("77", "78"):
            path.unlink()
    (tmp_path / "killer.py").write_text(KILLER)
    out = tmp_path / "out"
    spec = f"{tmp_path / 'killer.py'}:net"
    with tally.fault("image that kills its worker", times=2) as case:
        done = run(own_pictures, spec, out, "--backend", "torch")
        assert done.returncode == 4, done.stderr
        found = snellen.load_run(out)
        assert found.complete
        assert [image for image, _ in found.errors] == ["n01440764/77.png", "n01484850/78.png"]
        assert all("ends the worker process" in reason for _, reason in found.errors)
        assert "77.png" in done.stdout
        case.lost = len(list(own_pictures.glob("*/*.png"))) - 2 - len(found.image_ids)


@pytest.mark.parametrize("killers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_shards_of_many_images_give_the_same_rows(killers, own_pictures, tmp_path, monkeypatch):
    """Shards of a dozen images, and two that kill in one shard: only those two are missing, the rest is the same."""
    from snellen.engine import plan

    (tmp_path / "killer.py").write_text(KILLER)
    spec = f"{tmp_path / 'killer.py'}:net"
    kept = sorted(own_pictures.glob("*/*.png"))[::2]
    for path in set(own_pictures.glob("*/*.png")) - set(kept):
        path.unlink()
    for name in ("n01440764/01.png", "n01440764/00.png")[:killers]:
        Image.new("RGB", (300, 280), (255, 0, 255)).save(own_pictures / name)
    small = snellen.study(spec, own_pictures, out=tmp_path / "small", backend="torch")
    monkeypatch.setattr(plan, "SHARDS_PER_WORKER", 1)
    monkeypatch.setattr(plan, "LAST_SECONDS", 1000.0)
    large = snellen.study(spec, own_pictures, out=tmp_path / "large", backend="torch")
    assert len(small.commits) > 2 * len(large.commits)
    assert len(large.errors) == killers
    for kind in KINDS:
        assert large.table(kind).to_pylist() == small.table(kind).to_pylist()
