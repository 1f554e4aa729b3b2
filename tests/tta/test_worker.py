"""What a shard of `tta` answers and counts, against views that are cut and answered one by one."""

import time
import weakref

import numpy as np
import pytest
from PIL import Image
from stopping import stop_of

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
from snellen.tta.stages import InFlight
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
                shown = stop_of(probs[0], POLICY.threshold)
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


class Adapting:
    """Stands in for `Memo`: the number in an image's name is its answer."""

    options = MemoOptions(views=3)

    def __init__(self, uncut=(), diverging=(), together=8):
        self.uncut, self.diverging, self.together, self.calls = uncut, diverging, together, 0

    def adapt_many(self, images, keys):
        self.calls += 1
        numbers = [int(key[-6:-4]) for key in keys]
        if set(numbers) & set(self.uncut):
            raise UnreadableImage("too long for its width")
        logits = {k: np.eye(CLASSES, dtype=np.float32)[k % CLASSES] for k in numbers}
        return [Adapted(logits[k] * (np.nan if k in self.diverging else 1), 2.0, 1.0, 5.0) for k in numbers]


def run_memo(pictures, path, names, memo, classifier=None, progress=lambda cost: None):
    for folder in ("parts", "commits"):
        (path / folder).mkdir(parents=True)
    methods = parse_methods(names)
    worker = MethodWorker(path, pictures, methods, classifier, {"memo-rrc,k=3": memo}, 4, None, 1)
    assert worker.run(Task(0, 0, 12), progress)
    return read_tables(path)


def test_an_image_that_memo_is_done_with_is_told_of_at_once(pictures, tmp_path):
    """Each takes seconds where they are adapted one by one."""
    memo, heard = Adapting(together=1), []
    run_memo(pictures, tmp_path, ["memo-rrc,k=3"], memo, progress=lambda cost: heard.append(memo.calls))
    assert heard == list(range(1, 12))


def test_memo_passes_by_what_cannot_be_cut(pictures, tmp_path):
    """An image whose crop would not fit the memory costs its own answer, not its group's."""
    rows, samples = run_memo(pictures, tmp_path, ["memo-rrc,k=3"], Adapting(uncut=[3]))
    assert [row["image"] for row in rows] == [k for k in range(12) if k not in (3, 5)]
    assert [row["id0"] for row in rows] == [row["image"] % CLASSES for row in rows]
    assert {row["forwards"] for row in rows} == {4}
    assert all(row["views_ms"] > 3 for row in rows), "the prediction view is one of them"
    assert [row["ms"] - row["views_ms"] for row in rows] == pytest.approx([5] * 10, abs=1e-4)
    assert samples[3]["error"] == "too long for its width"


def test_a_step_that_diverges_costs_that_answer_alone(pictures, tmp_path):
    rows, samples = run_memo(pictures, tmp_path, ["center", "memo-rrc,k=3"], Adapting(diverging=[2, 7]), Counting())
    assert [k for k, sample in enumerate(samples) if sample["error"]] == [5]
    by = {(row["image"], row["method"]): row for row in rows}
    assert len(by) == 22
    for k in (2, 7):
        row = by[k, "memo-rrc,k=3"]
        assert [row[f"id{j}"] for j in range(5)] == [-1] * 5
        assert [row[f"p{j}"] for j in range(5)] == [None] * 5
        assert row["ms"] > 8
        assert by[k, "center"]["p0"] > 0
    assert by[8, "memo-rrc,k=3"]["id0"] == 8


class Clock:
    """A clock that work moves and nothing else, however busy the machine is."""

    def __init__(self):
        self.ms = 0

    def __call__(self):
        return self.ms / 1000


def cutting_ms(rules):
    """4 milliseconds a scale and one a view, as of one resizing for all views of a scale."""
    return 4 * len({rule.resize for rule in rules}) + len(rules)


class Slow(Counting):
    """Takes 2 milliseconds of a clock for each view."""

    def __init__(self, clock):
        super().__init__()
        self.clock = clock

    def logits(self, views):
        self.clock.ms += 2 * len(views)
        return super().logits(views)


@pytest.fixture
def clock(monkeypatch):
    """The clock by which times are measured; cutting takes `cutting_ms` of it."""
    clock = Clock()

    def slow(picture, rules):
        clock.ms += cutting_ms(rules)
        return render(picture, rules)

    for module in ("cutting", "anytime"):
        monkeypatch.setattr(f"snellen.tta.{module}.render", slow)
    monkeypatch.setattr(time, "perf_counter", clock)
    return clock


def test_what_a_method_costs_does_not_depend_on_the_others(pictures, tmp_path, clock):
    """Each by itself, then all together; the milliseconds are those of its own work."""
    names = ["1crop", "anytime", "mean:paper:in", "mean:paper:centre"]
    few = Task(0, 0, 2)
    beside = run_worker(pictures, tmp_path / "all", names, task=few, classifier=Slow(clock))[0]
    for k, method in enumerate(parse_methods(names, POLICY)):
        alone = run_worker(pictures, tmp_path / str(k), [method.name], task=few, classifier=Slow(clock))[0]
        together = [row for row in beside if row["method"] == method.name]
        assert [row["forwards"] for row in together] == [row["forwards"] for row in alone]
        for one, other in zip(together, alone, strict=True):
            assert one["views_ms"] == pytest.approx(other["views_ms"])
            assert one["ms"] == pytest.approx(one["views_ms"] + 2 * one["forwards"])
            assert other["ms"] == pytest.approx(one["ms"])
            if method.kind == "merge":
                assert one["views_ms"] == pytest.approx(cutting_ms(method.rules))
            else:
                assert one["views_ms"] >= cutting_ms(method.rules[: one["forwards"]]), "stage after stage"


def test_pixels_of_images_that_are_done_are_let_go(pictures, tmp_path, monkeypatch):
    """However long a shard, only images under way are held: here at most a batch of each of two stages."""
    held = weakref.WeakSet()

    class Noted(InFlight):
        def __init__(self, *args):
            super().__init__(*args)
            held.add(self)

        __hash__ = object.__hash__

    monkeypatch.setattr("snellen.tta.worker.InFlight", Noted)
    for k in range(12, 60):
        (tmp_path / "pictures" / "goldfish" / f"{k}.png").write_bytes(pictures.read(k % 5))
    dataset = open_dataset(tmp_path / "pictures")
    (tmp_path / "run" / "parts").mkdir(parents=True)
    (tmp_path / "run" / "commits").mkdir()
    methods = parse_methods(["center", "5crop", "anytime"], POLICY)
    worker = MethodWorker(tmp_path / "run", dataset, methods, Counting(), {}, 4, None, 1)
    most = []
    assert worker.run(Task(0, 0, 60), lambda cost: most.append(len(held)))
    assert len(most) == 59
    assert max(most) <= 12
    assert len(read_tables(tmp_path / "run")[0]) == 59 * 3


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
