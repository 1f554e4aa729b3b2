"""Runs of a generative model: what is committed, what is asked, and what a kill costs."""

import hashlib
import io
import json
import signal
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
from disturbed import wait_for
from looking import tree
from PIL import Image
from vlm_stub import Reply, VlmStub, error, fault

from snellen.analysis.unanswered import unmatched
from snellen.classifiers.spec import parse_spec
from snellen.classifiers.vlm import chat
from snellen.classifiers.vlm.prepare import prepare_vlm
from snellen.datasets import open_dataset
from snellen.engine.answering import run_answering
from snellen.engine.held import Held
from snellen.engine.worker import Task
from snellen.errors import ModelError, SnellenError, Stopped
from snellen.labels import IMAGENET_1K, ClassMap
from snellen.locks import Lock
from snellen.places import place
from snellen.store.commits import commit_path, read_commits
from snellen.store.reader import Run
from snellen.zoom.grid import Grid

KEY = "sk-never-to-be-written-down"
# Class folders, and what each is called in a sentence.
CLASSES = {"n01440764": (0, "a tench"), "n02123045": (281, "It's a tabby cat."), "n01514859": (8, "HEN")}


@pytest.fixture(autouse=True)
def _apart(tmp_path, monkeypatch):
    monkeypatch.setenv("SNELLEN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setattr(chat, "FIRST_WAIT", 0.001)
    monkeypatch.setattr(chat, "JITTER", 0.001)


@pytest.fixture
def folder(tmp_path):
    """16 images a class; the last of each class is broken, and two of the first class are the same."""
    for c, key in enumerate(CLASSES):
        root = tmp_path / "data" / key
        root.mkdir(parents=True)
        for k in range(16):
            pixels = np.random.default_rng(100 * c + k).integers(0, 256, (12, 14 + k, 3), np.uint8)
            Image.fromarray(pixels).save(root / f"{k:02d}.png")
        (root / "15.png").write_bytes(b"broken")
    (tmp_path / "data" / "n01440764" / "01.png").write_bytes((tmp_path / "data" / "n01440764" / "00.png").read_bytes())
    return tmp_path / "data"


def job(folder, path, classes=None):
    for name in ("parts", "commits"):
        (path / name).mkdir(parents=True, exist_ok=True)
    return {
        "run": str(path),
        "data": str(folder),
        "images": open_dataset(folder).fingerprint,
        "grid": {},
        "keep_probs": False,
        "classes": classes and classes.to_json(),
    }


def prepared(stub, options="", classmap=None):
    return prepare_vlm(parse_spec(f"vlm/m@{stub.url}{options}"), classmap=classmap)


def answer_all(job, model, tasks, heard):
    """Do the tasks in a run that this process holds."""
    run = place(job["run"])
    run_answering(job, model, tasks, heard, Held(run, Lock(run)))


def finished(path, model):
    """The run as a reader sees it."""
    record = {
        "model": {"card": model.card.to_json(), "spec": model.text},
        "grid": Grid("own", (model.card.own.rule(),)).to_json(),
    }
    return Run(path, record)


def truth(folder):
    """Of each readable image, in order: its id, its sha256 and its class."""
    files = sorted(path for path in folder.rglob("*.png") if path.stem != "15")
    return [
        (str(path.relative_to(folder)), hashlib.sha256(path.read_bytes()).hexdigest(), path.parent.name)
        for path in files
    ]


def model_of(folder):
    """A model that is right on two images of three, talks nonsense on others, and names several classes on the rest."""
    key_of = {sha: key for _, sha, key in truth(folder)}

    def say(image, attempt=1):
        n = int(image[:6], 16) % 6
        if n < 4:
            return Reply(CLASSES[key_of[image]][1], delay=0.02 if n == 0 else 0.0)
        return Reply("blurred" if n == 4 else "a tench, or a hen")

    return say


TASKS = [Task(0, 0, 7), Task(1, 7, 8), Task(2, 8, 16), Task(3, 16, 40), Task(4, 40, 48)]


def test_a_whole_run_over_a_server_that_fails_a_fifth_of_the_time(folder, tmp_path):
    say = model_of(folder)
    heard = []
    with VlmStub(lambda image, attempt: fault(image, attempt) or say(image)) as stub:
        model = prepared(stub, ",concurrency=5")
        answer_all(job(folder, tmp_path / "run"), model, TASKS, heard.append)
        assert stub.most <= 5
        assert stub.answered == Counter({sha: 1 for _, sha, _ in truth(folder)}), "two equal images are asked once"
        assert {headers["Authorization"] for _, headers in stub.seen} == {f"Bearer {KEY}"}
    run = finished(tmp_path / "run", model)
    # An independent count, from the bytes of the files and what the model says of them.
    rows = [(name, say(sha).text, CLASSES[key][0]) for name, sha, key in truth(folder)]
    ids = [
        label if text == CLASSES[key][1] else -1
        for (_, text, label), (*_, key) in zip(rows, truth(folder), strict=True)
    ]
    assert run.image_ids == [name for name, *_ in rows]
    assert run.answers().tolist() == [[i] for i in ids]
    assert run.answers("raw_id0").tolist() == [[i] for i in ids]
    assert (run.answers("id1") == -1).all()
    assert np.isnan(run.answers("p0")).all()
    expected = [(name, text) for (name, text, _), i in zip(rows, ids, strict=True) if i < 0]
    assert unmatched(run) == (len(expected), expected)
    assert 0 < len(expected) < 30
    assert run.table("answers")["matched"].to_pylist() == [IMAGENET_1K.keys[i] if i >= 0 else None for i in ids]
    assert [name for name, _ in run.errors] == [f"{key}/15.png" for key in sorted(CLASSES)]
    samples = run.samples.to_pylist()
    assert [(row["image"], row["origin"]) for row in samples] == [(k, "data") for k in range(48)]
    assert [row["width"] for row in samples] == [
        None if k % 16 == 15 else (14 if k == 1 else 14 + k % 16) for k in range(48)
    ]
    assert sum(heard) == 45
    commits = read_commits(tmp_path / "run")
    assert [(c["start"], c["stop"]) for c in commits.values()] == [(t.start, t.stop) for t in TASKS]
    assert [c["errors"] for c in commits.values()] == [0, 0, 1, 1, 1]
    assert sum(c["views"] for c in commits.values()) == 45
    assert sum(c["unmatched"] for c in commits.values()) == len(expected)
    assert sum(c["cached"] for c in commits.values()) == 1
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not any(KEY.encode() in path.read_bytes() for path in written)


def test_a_shard_is_told_of_when_it_is_committed_and_not_before(folder, tmp_path):
    """Shards are handed out while the answers of those before are still to come."""
    told, ahead = [], []

    class Hearing(Held):
        def committed(self, task):
            assert task.shard in read_commits(self.run)
            told.append(task.shard)

    def tasks(held):
        for task in held.handed_out(TASKS):
            ahead.append(task.shard not in told and len(told) < task.shard)
            yield task

    say, run = model_of(folder), tmp_path / "run"
    with VlmStub(say) as stub:
        model = prepared(stub, ",concurrency=5")
        held = Hearing(run, Lock(run))
        run_answering(job(folder, run), model, tasks(held), lambda views: None, held)
    assert sorted(told) == [task.shard for task in TASKS]
    assert any(ahead), "none was handed out early: the test shows nothing"


def test_the_cache_serves_another_run_and_gives_the_same_rows(folder, tmp_path):
    with VlmStub(lambda image, attempt: model_of(folder)(image)) as stub:
        model = prepared(stub)
        answer_all(job(folder, tmp_path / "one"), model, TASKS, lambda n: None)
        asked = stub.asked.copy()
        answer_all(job(folder, tmp_path / "two"), model, [Task(0, 0, 48)], lambda n: None)
        assert stub.asked == asked
    one, two = (finished(tmp_path / name, model) for name in ("one", "two"))
    for kind in ("samples", "predictions", "answers"):
        assert one.table(kind).to_pylist() == two.table(kind).to_pylist()
    assert read_commits(tmp_path / "two")[0]["cached"] == 45


CHILD = """
import sys, json
from snellen.classifiers.vlm import chat
from snellen.classifiers.vlm.prepare import prepare_vlm
from snellen.classifiers.spec import parse_spec
from snellen.engine.answering import run_answering
from snellen.engine.held import Held
from snellen.engine.worker import Task
from snellen.locks import Lock
from snellen.places import place
chat.FIRST_WAIT = chat.JITTER = 0.001
job, spec, tasks = json.loads(sys.stdin.read())
held = Held(place(job["run"]), Lock(place(job["run"])))
run_answering(job, prepare_vlm(parse_spec(spec)), [Task(*task) for task in tasks], lambda n: None, held)
"""


@pytest.mark.parametrize("after", [3, 30])
def test_killed_in_the_middle_nothing_that_was_kept_is_asked_again(folder, tmp_path, after):
    say = model_of(folder)
    tasks = [(k, 4 * k, 4 * k + 4) for k in range(12)]
    with VlmStub(lambda image, attempt: fault(image, attempt, 0.2) or Reply(say(image).text, delay=0.02)) as stub:
        spec = f"vlm/m@{stub.url},concurrency=3"
        request = json.dumps([job(folder, tmp_path / "run"), spec, tasks])
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        child.stdin.write(request)
        child.stdin.close()
        wait_for(lambda: sum(stub.answered.values()) >= after, process=child)
        child.send_signal(signal.SIGKILL)
        assert child.wait() == -signal.SIGKILL
        wait_for(lambda: stub.under_way == 0)
        before = tree(tmp_path / "run")
        committed = read_commits(tmp_path / "run")
        kept = {path.stem for path in (tmp_path / "cache" / "answers").glob("*/*.json")} - {"call"}
        assert len(kept) >= after - 3 - 1, "all but what was under way"
        assert len(committed) < 12
        asked = stub.asked.copy()
        left = [Task(*task) for task in tasks if task[0] not in committed]
        model = prepare_vlm(parse_spec(spec))
        answer_all(job(folder, tmp_path / "run"), model, left, lambda n: None)
        assert all(stub.asked[sha] == asked[sha] for sha in kept)
        answer_all(job(folder, tmp_path / "whole"), model, [Task(0, 0, 48)], lambda n: None)
    after_it = tree(tmp_path / "run")
    assert all(after_it[name] == digest for name, digest in before.items() if name.startswith("commits"))
    run, whole = (finished(tmp_path / name, model) for name in ("run", "whole"))
    for kind in ("samples", "predictions", "answers"):
        assert run.table(kind).to_pylist() == whole.table(kind).to_pylist()


def test_shards_without_an_answer_and_without_an_image(folder, tmp_path):
    heard = []
    with VlmStub(lambda image, attempt: Reply("hen")) as stub:
        tasks = [Task(0, 15, 16), Task(1, 5, 5), Task(2, 31, 33, skip={32: "it kills"}), Task(3, 0, 2, commit=False)]
        model = prepared(stub)
        answer_all(job(folder, tmp_path / "run"), model, tasks, heard.append)
        answer_all(job(folder, tmp_path / "none"), model, [], heard.append)
    commits = read_commits(tmp_path / "run")
    assert {k: (c["images"], c["errors"], c["views"]) for k, c in commits.items()} == {
        0: (1, 1, 0),
        1: (0, 0, 0),
        2: (2, 2, 0),
    }
    run = finished(tmp_path / "run", model)
    assert [error for _, error in run.errors][-1] == "it kills"
    assert run.answers().shape == (0, 1)
    assert unmatched(run) == (0, [])
    assert not read_commits(tmp_path / "none")


def test_only_classes_of_the_data_set_are_asked_for_and_taken(folder, tmp_path):
    classmap = ClassMap.of("two", [["n02123045", "n02123159"], ["n01514859"]], IMAGENET_1K)
    with VlmStub(lambda image, attempt: model_of(folder)(image)) as stub:
        model = prepared(stub, ",match=fuzzy", classmap)
        answer_all(job(folder, tmp_path / "run", classmap), model, TASKS, lambda n: None)
        assert {body["messages"][0]["content"][0]["text"].partition("Classes:\n")[2] for body, _ in stub.seen} == {
            "hen\ntabby cat\ntiger cat"
        }
    ids = set(finished(tmp_path / "run", model).answers().ravel().tolist())
    assert ids == {-1, 8, 281}, "a tench is none of them"


@pytest.mark.parametrize("there", ["another run's", "not whole", "of other images", "its own"])
def test_a_record_that_came_meanwhile_counts_only_if_it_is_this_run_s(there, folder, tmp_path):
    """Another command had the run for a while: a shard is not taken for done by what only lies in its place."""
    planned, task = job(folder, tmp_path / "run"), Task(0, 0, 3, fingerprint="ours")
    with VlmStub(lambda image, attempt: Reply("hen")) as stub:
        model = prepared(stub)
        answer_all(planned, model, [task], lambda n: None)
        record = commit_path(tmp_path / "run", 0)
        said = json.loads(record.read_text())
        record.write_text(
            {
                "another run's": json.dumps(said | {"fingerprint": "theirs"}),
                "not whole": record.read_text()[:-9],
                "of other images": json.dumps(said | {"stop": 4}),
                "its own": record.read_text(),
            }[there]
        )
        before = tree(tmp_path / "run")
        if there == "its own":
            answer_all(planned, model, [task], lambda n: None)
        else:
            with pytest.raises(Stopped, match=r"shard 0 of .* not this run's, or not whole; run the same command"):
                answer_all(planned, model, [task], lambda n: None)
    assert tree(tmp_path / "run") == before, "the later files are taken away, and nothing else"


def test_refused_images_are_listed(folder, tmp_path):
    bad = [sha for _, sha, _ in truth(folder)][7]
    decide = model_of(folder)
    with VlmStub(lambda image, attempt: error(400, "too blurred") if image == bad else decide(image)) as stub:
        model = prepared(stub)
        answer_all(job(folder, tmp_path / "run"), model, TASKS, lambda n: None)
    run = finished(tmp_path / "run", model)
    assert ("n01440764/07.png", "the server refuses it (HTTP 400: too blurred)") in run.errors
    assert len(run.errors) == 4
    assert len(run.image_ids) == len(run.answers()) == 44


def test_a_wrong_call_or_a_lost_server_commits_nothing_wrong(folder, tmp_path):
    with VlmStub(lambda image, attempt: error(422, "unknown field seed")) as stub:
        for tasks in (TASKS, [Task(1, 7, 8)]):
            with pytest.raises(ModelError, match="unknown field seed"):
                answer_all(job(folder, tmp_path / "run"), prepared(stub), tasks, lambda n: None)
        stub.decide = lambda image, attempt: error(502, "bad gateway")
        for tasks in (TASKS, [Task(1, 7, 8)]):
            with pytest.raises(Stopped, match="bad gateway"):
                answer_all(job(folder, tmp_path / "run"), prepared(stub, ",retries=1"), tasks, lambda n: None)
    assert not read_commits(tmp_path / "run")


def test_data_that_went_away_or_changed(folder, tmp_path):
    with VlmStub(lambda image, attempt: Reply("hen", delay=0.05)) as stub:
        planned = job(folder, tmp_path / "run")
        model = prepared(stub, ",concurrency=1")

        def vanish(n):
            if folder.exists():
                folder.rename(folder.with_name("unmounted"))

        with pytest.raises(Stopped, match="the same command resumes"):
            answer_all(planned, model, TASKS, vanish)
        folder.with_name("unmounted").rename(folder)
        answer_all(planned, model, TASKS[:1], lambda n: None)
        (folder / "n01440764" / "00.png").unlink()
        with pytest.raises(SnellenError, match="changed while the run was going on"):
            answer_all(planned, model, TASKS, lambda n: None)


def test_the_photographs_that_ship(examples_dir, tmp_path):
    """Real files: each is sent as itself or with the same pixels, and told apart by them."""
    dataset = open_dataset("examples")
    labels = dataset.label_sets([item.id for item in dataset.items], IMAGENET_1K)
    pixels = {}
    for k in range(len(dataset.items)):
        image = Image.open(io.BytesIO(dataset.read(k))).convert("RGB")
        pixels[hashlib.sha256(image.tobytes()).hexdigest()] = IMAGENET_1K.keys[labels[k][0]]

    with VlmStub(lambda image, attempt: Reply("")) as stub:

        def name(image, attempt):
            shown = Image.open(io.BytesIO(stub.images[image])).convert("RGB")
            return Reply(pixels[hashlib.sha256(shown.tobytes()).hexdigest()])

        stub.decide = name
        planned = job("examples", tmp_path / "run") | {"data": dataset.spec}
        model = prepared(stub, ",max_side=5000")
        answer_all(planned, model, [Task(0, 0, len(dataset.items))], lambda n: None)
    run = finished(tmp_path / "run", model)
    assert [row[0] for row in run.answers().tolist()] == [row[0] for row in labels]
