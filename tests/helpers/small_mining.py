"""Mining in seconds: small networks, small pictures, 36 zooms in place of 324; and what studies say of them."""

import contextlib
import importlib
from collections.abc import Iterator

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

import snellen
from snellen.mining import miners
from snellen.zoom import paper_grid

KEYS = tuple(f"kind-{k}" for k in range(5))
# Four scales in place of 36, so that studies take a second.
GRID = paper_grid(scales=(96, 192, 256, 640))
ZOOMS = len(GRID)
OPTIONS = {"backend": "torch", "classes": KEYS, "batch_size": 16}


@contextlib.contextmanager
def few_zooms() -> Iterator[None]:
    """Within this, `study` and `mine` show the zooms of `GRID`."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (importlib.import_module("snellen.study"), miners):
            patch.setattr(module, "paper_grid", lambda size: GRID)
        patch.setattr(miners, "PAPER_GRID", GRID)
        yield


class Sampling(torch.nn.Module):
    """A few of the pixels, and a random projection of them."""

    seed = 1

    def __init__(self):
        super().__init__()
        self.last = torch.nn.Linear(3 * 8 * 8, len(KEYS))
        weights = np.random.default_rng(self.seed).standard_normal((len(KEYS), 3 * 8 * 8))
        self.last.weight.data = torch.tensor(weights, dtype=torch.float32)
        # Few views are answered with a class of low bias, so that some images of these are hard.
        self.last.bias.data = torch.tensor([0.0, -41.0, -42.0, -23.0, -52.0])

    def forward(self, views):
        return self.last(views[:, :, 14::28, 14::28].flatten(1))


class Other(Sampling):
    seed = 3


class Third(Sampling):
    seed = 5


def write_images(root, count, seed):
    rng = np.random.default_rng(seed)
    for k in range(count):
        folder = root / KEYS[k % len(KEYS)]
        folder.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 256, (5, 5, 3), np.uint8)
        Image.fromarray(pixels).resize((60, 70)).save(folder / f"{k:02d}.png")
    return root


def mine(models, data, out, **options):
    return snellen.mine(models, data, out=out, **OPTIONS, **options)


def right_by_image(studies, number, place):
    """Of a model and a data set: whether each zoom is right, by image id."""
    run = studies[number, place]
    return dict(zip(run.image_ids, run.correct(), strict=True))


def expected(studies, count, places, needed):
    """The hard images, as a study of everything tells them: (data set, image id)."""
    found = set()
    for place in places:
        fails = [
            {image for image, right in right_by_image(studies, number, place).items() if not right.any()}
            for number in range(count)
        ]
        images = set(studies[0, place].image_ids)
        found |= {(place, image) for image in images if sum(image in some for some in fails) >= needed}
    return found


def hard_of(out, data):
    rows = pq.read_table(out / "candidates.parquet").to_pylist()
    names = [folder.name for folder in data]
    return {(names.index(row["origin"]), row["image_id"]) for row in rows}
