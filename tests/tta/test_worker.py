"""What a shard of `tta` answers and counts, against views that are cut and answered one by one."""

import numpy as np
import pytest
from PIL import Image

from snellen.datasets import open_dataset
from snellen.engine.answers import masked, softmax
from snellen.engine.batches import full_batches
from snellen.engine.worker import Task
from snellen.labels import ClassMap
from snellen.store.commits import read_commits
from snellen.store.schema import METHODS
from snellen.store.writer import commit_path
from snellen.tta.memo import Adapted
from snellen.tta.memo_options import MemoOptions
from snellen.tta.merge import merged
from snellen.tta.methods import parse_methods
from snellen.tta.policy import Policy
from snellen.tta.views import view_set
from snellen.tta.worker import MethodWorker
from snellen.zoom import Grid
from snellen.zoom.render import UnreadableImage, decode, render

CLASSES = 9
POLICY = Policy(Grid("some", view_set("paper:centre").rules[9:19]), 1.5, 0.08, 0, 100, 4.0)
NAMES = ("center", "10crop", "vote:5crop+flip", "mean:paper:224", "anytime", "confident-3:5crop")


class Counting:
    """Logits that depend on every pixel, and how often and how full it was asked."""

    def __init__(self, scale=8.0):
        self.weights = np.random.default_rng(0).standard_normal((224 * 224 * 3, CLASSES)).astype(np.float32)
        self.scale, self.batches = scale, []

    def logits(self, views):
        self.batches.append(len(views))
        pixels = views.reshape(len(views), -1).astype(np.float32) / 255 - 0.5
        return self.scale * pixels @ self.weights / np.sqrt(pixels.shape[1])


@pytest.fixture
def pictures(tmp_path):
    rng = np.random.default_rng(0)
    folder = tmp_path / "pictures" / "goldfish"
    folder.mkdir(parents=True)
    for k in range(12):
        size = tuple(rng.integers(40, 90, 2).tolist())
        Image.fromarray(rng.integers(0, 256, (6, 6, 3), np.uint8)).resize(size).save(folder / f"{k:02d}.png")
    (folder / "05.png").write_bytes(b"no picture")
    return open_dataset(tmp_path / "pictures")


def run_worker(dataset, path, names=NAMES, classes=None, batch=4, task=None, classifier=None):
    for folder in ("parts", "commits"):
        (path / folder).mkdir(parents=True)
    classifier = classifier or Counting()
    worker = MethodWorker(path, dataset, parse_methods(names, POLICY), classifier, {}, batch, classes, 7)
    heard = []
    assert worker.run(task or Task(0, 0, 12), heard.append)
    return *read_tables(path), classifier, heard


def read_tables(path):
    """The rows of the one shard of a run: of methods, of samples."""
    import pyarrow.parquet as pq

    (record,) = read_commits(path).values()
    tables = {kind: pq.read_table(path / "parts" / file["name"]) for kind, file in record["files"].items()}
    return tables["methods"].to_pylist(), tables["samples"].to_pylist()


@pytest.mark.parametrize("classes", [None, ClassMap("some", ((0, 3), (4,), (8,)), CLASSES)], ids=["all", "masked"])
def test_every_method_answers_as_if_alone(pictures, tmp_path, classes):
    rows, samples, classifier, heard = run_worker(pictures, tmp_path / "run", classes=classes)
    assert [sample["error"] is None for sample in samples] == [k != 5 for k in range(12)]
    assert heard == [7] * 11
    by = {(row["image"], row["method"]): row for row in rows}
    assert list(by) == [(k, name) for k in range(12) if k != 5 for name in NAMES]
    for method in parse_methods(NAMES, POLICY):
        for k in (0, 4, 6, 11):
            row = by[k, method.name]
            logits = np.concatenate(
                [classifier.logits(view[None]) for view in render(decode(pictures.read(k)), method.rules)]
            )
            probs = softmax(masked(logits, classes))[None]
            shown = len(method.rules)
            if method.kind == "anytime":
                shown = int(POLICY.stops(probs)[0])
            scores = merged(probs[:, :shown], method.merge, classes)[0]
            assert row["forwards"] == shown, (method.name, k)
            assert row["p0"] == pytest.approx(scores.max(), abs=1e-5)
            assert scores[row["id0"]] == pytest.approx(scores.max(), abs=1e-5)
            assert row["ms"] > row["views_ms"] > 0
    assert 2 < np.mean([by[k, "anytime"]["forwards"] for k in range(12) if k != 5]) < 10, (
        "the rule decides nothing here"
    )


def test_shared_views_are_computed_once(pictures, tmp_path):
    _, _, classifier, _ = run_worker(
        pictures, tmp_path / "run", ["center", "5crop", "10crop", "max:10crop", "zero:5crop+flip"]
    )
    assert sum(classifier.batches) == 11 * 10
    assert set(classifier.batches[:-1]) == {4}, "batches mix images and stay full"


def test_anytime_alone_computes_no_more_than_it_counts(pictures, tmp_path):
    rows, _, classifier, _ = run_worker(pictures, tmp_path / "run", ["anytime"])
    assert sum(classifier.batches) == sum(row["forwards"] for row in rows) < 11 * 10
    assert np.mean(classifier.batches) > 2, "images under way share batches"


def test_anytime_uses_views_that_are_there(pictures, tmp_path):
    alone, _, _, _ = run_worker(pictures, tmp_path / "alone", ["anytime"])
    rows, _, classifier, _ = run_worker(pictures, tmp_path / "run", ["mean:paper:centre", "anytime"])
    assert sum(classifier.batches) == 11 * 36, "its views are among those"
    beside = [row for row in rows if row["method"] == "anytime"]
    assert [(row["id0"], row["forwards"]) for row in beside] == [(row["id0"], row["forwards"]) for row in alone]


def test_images_come_out_in_order_whatever_the_batch(pictures, tmp_path):
    answers = []
    for batch in (1, 3, 32):
        rows, _, _, _ = run_worker(pictures, tmp_path / str(batch), batch=batch)
        answers.append([(row["image"], row["method"], row["id0"], row["forwards"]) for row in rows])
    assert answers[0] == answers[1] == answers[2]


def test_logits_that_are_no_numbers_end_in_an_error(pictures, tmp_path):
    class Odd(Counting):
        def logits(self, views):
            logits = super().logits(views)
            logits[views.reshape(len(views), -1)[:, 0] % 4 == 0] = np.nan
            return logits

    for names in (["center"], ["anytime"], ["center", "anytime"]):
        rows, samples, _, _ = run_worker(pictures, tmp_path / "-".join(names), names, classifier=Odd())
        bad = [k for k, sample in enumerate(samples) if sample["error"] is not None]
        assert len(bad) > 1
        assert {row["image"] for row in rows} == set(range(12)) - set(bad)
        assert any("not all numbers" in samples[k]["error"] for k in bad)


def test_memo_passes_by_what_cannot_be_cut(pictures, tmp_path):
    """An image whose crop would not fit the memory costs its own answer, not its group's."""

    class Adapting:
        options = MemoOptions(views=3)

        def adapt_many(self, images, keys):
            if "03.png" in str(keys):
                raise UnreadableImage("too long for its width")
            return [Adapted(np.eye(CLASSES, dtype=np.float32)[int(key[-6:-4]) % CLASSES], 2.0, 5.0) for key in keys]

    (tmp_path / "parts").mkdir()
    (tmp_path / "commits").mkdir()
    methods = parse_methods(["memo-rrc,k=3"])
    worker = MethodWorker(tmp_path, pictures, methods, None, {methods[0].name: Adapting()}, 4, None, 1)
    assert worker.run(Task(0, 0, 12), lambda cost: None)
    rows, samples = read_tables(tmp_path)
    assert [row["image"] for row in rows] == [k for k in range(12) if k not in (3, 5)]
    assert [row["id0"] for row in rows] == [row["image"] % CLASSES for row in rows]
    assert {row["forwards"] for row in rows} == {4}
    assert samples[3]["error"] == "too long for its width"


def test_a_try_commits_nothing(pictures, tmp_path):
    (tmp_path / "commits").mkdir()
    worker = MethodWorker(tmp_path, pictures, parse_methods(["center"]), Counting(), {}, 4, None, 1)
    assert not worker.run(Task(0, 0, 3, commit=False), lambda views: None)
    assert not commit_path(tmp_path, 0).exists()


def test_schema_holds_what_the_table_shows():
    assert {"image", "method", "id0", "p0", "forwards", "ms", "views_ms"} <= set(METHODS.names)


def test_full_batches_of_a_plain_function():
    class Sums:
        def logits(self, views):
            return views.reshape(len(views), -1).sum(1, dtype=np.float32)[:, None]

    source = [(k, np.full((k, 2, 2, 3), k, np.uint8)) for k in (3, 1, 5, 2)]
    found = dict(full_batches(Sums(), 4, 2, iter(source)))
    assert {k: values[:, 0].tolist() for k, values in found.items()} == {k: [12.0 * k] * k for k in (3, 1, 5, 2)}
