"""One worker on shards of several images: batches that mix images, bad images inside, what is committed."""

import numpy as np
import pytest
from PIL import Image

from snellen.datasets import open_dataset
from snellen.engine.worker import NOT_NUMBERS, Task, Worker
from snellen.errors import Stopped
from snellen.store.commits import read_commits
from snellen.zoom import paper_grid
from snellen.zoom.render import decode, render

GRID = paper_grid(scales=(192, 224, 256))


class MeansClassifier:
    """Logits that are plain functions of one view's pixels; it notes the size of each batch."""

    def __init__(self):
        self.batches = []

    def logits(self, views):
        self.batches.append(len(views))
        means = views.reshape(len(views), -1, 3).mean(1)
        spread = views.reshape(len(views), -1, 3).std(1)
        return np.concatenate([means, spread], 1).astype(np.float32) / 10


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "data" / "n01440764"
    root.mkdir(parents=True)
    for k in range(7):
        pixels = np.random.default_rng(k).integers(0, 256, (30 + k, 40, 3), np.uint8)
        Image.fromarray(pixels).save(root / f"{k}.png")
    (root / "3.png").write_bytes(b"broken")
    return root.parent


def worker(folder, tmp_path, batch_size, classifier=None):
    for name in ("parts", "commits"):
        (tmp_path / name).mkdir(exist_ok=True)
    return Worker(tmp_path, open_dataset(folder), classifier or MeansClassifier(), GRID, batch_size)


def committed(tmp_path, shard):
    import pyarrow.parquet as pq

    files = read_commits(tmp_path)[shard]["files"]
    return {kind: pq.read_table(tmp_path / "parts" / file["name"]).to_pylist() for kind, file in files.items()}


@pytest.mark.parametrize("batch_size", [1, 4, 5, 27, 28, 100, 500])
def test_every_batch_size_gives_each_view_its_own_answer(folder, tmp_path, batch_size):
    at_work = worker(folder, tmp_path, batch_size)
    heard = []
    assert at_work.run(Task(2, 1, 7), heard.append)
    rows = committed(tmp_path, 2)
    assert [(r["image"], r["error"] is None) for r in rows["samples"]] == [(k, k != 3) for k in range(1, 7)]
    expected = []
    for image in (1, 2, 4, 5, 6):
        views = render(decode(at_work.dataset.read(image)), GRID.rules)
        for zoom, view in enumerate(views):
            expected.append((image, zoom, int(MeansClassifier().logits(view[None])[0].argmax())))
    assert [(r["image"], r["zoom"], r["id0"]) for r in rows["predictions"]] == expected
    assert [r["image"] for r in rows["merged"]] == [k for k in (1, 2, 4, 5, 6) for _ in range(2 * 4)]
    assert sum(heard) == 5 * len(GRID)
    whole, rest = divmod(5 * len(GRID), batch_size)
    assert at_work.classifier.batches == [batch_size] * whole + [rest] * (rest > 0), "batches are full to the last"


def test_progress_hears_of_the_first_batch_at_once_and_of_every_view_in_the_end(folder, tmp_path, monkeypatch):
    at_work = worker(folder, tmp_path, 4)
    heard = []
    at_work.run(Task(0, 0, 3), heard.append)
    assert heard[0] == 4
    assert sum(heard) == 3 * len(GRID)
    monkeypatch.setattr("snellen.engine.worker.EVERY", 0.0)
    heard.clear()
    at_work.classifier.batches.clear()
    at_work.run(Task(1, 4, 7), heard.append)
    assert heard == at_work.classifier.batches


def test_a_try_commits_nothing_and_a_skipped_image_is_listed(folder, tmp_path):
    at_work = worker(folder, tmp_path, 9)
    assert not at_work.run(Task(0, 0, 3, commit=False), lambda views: None)
    assert not list((tmp_path / "parts").iterdir())
    assert at_work.run(Task(0, 0, 3, skip={1: "it kills"}), lambda views: None)
    rows = committed(tmp_path, 0)
    assert [r["error"] for r in rows["samples"]] == [None, "it kills", None]
    assert {r["image"] for r in rows["predictions"]} == {0, 2}


def test_an_image_with_logits_that_are_no_numbers_is_listed_and_the_run_goes_on(folder, tmp_path):
    class Overflowing(MeansClassifier):
        def logits(self, views):
            logits = super().logits(views)
            logits[::5] = np.where(np.arange(len(logits[::5]))[:, None] == 0, np.nan, logits[::5])
            return logits

    at_work = worker(folder, tmp_path, 27, Overflowing())  # the first view of each image
    at_work.run(Task(0, 0, 2), lambda views: None)
    assert [r["error"] for r in committed(tmp_path, 0)["samples"]] == [NOT_NUMBERS, NOT_NUMBERS]


def test_a_vanished_data_set_stops_the_run_but_a_vanished_file_does_not(folder, tmp_path):
    at_work = worker(folder, tmp_path, 9)
    (folder / "n01440764" / "1.png").unlink()
    at_work.run(Task(0, 0, 2), lambda views: None)
    assert "cannot be read" in committed(tmp_path, 0)["samples"][1]["error"]
    folder.rename(folder.with_name("unmounted"))
    with pytest.raises(Stopped, match="the same command resumes"):
        at_work.run(Task(1, 4, 6), lambda views: None)
    assert 1 not in read_commits(tmp_path)
