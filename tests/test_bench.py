"""`snellen bench`: what it measures, what it lets `auto` mean, and that runs that were begun go on as they were."""

import json
import os

import numpy as np
import pytest
from commands import one_line, run_cli

import snellen
from snellen.analysis.accuracy import share
from snellen.bench import Row, bench, remember_best
from snellen.classifiers import host as host_module
from snellen.classifiers import measure, prepare
from snellen.classifiers.host import best_name, recall, remember
from snellen.errors import ModelError, UsageError


@pytest.fixture(scope="module")
def measured(tiny):
    """The command on the tiny network, one round, without the compiler, which takes its time."""
    environment = os.environ | {"CXX": "/nowhere/g++"}
    done = run_cli("bench", tiny, "--precision", "fp32", "--workers", 2, "--json", env=environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_every_backend_that_is_installed_is_measured(measured):
    assert {row["backend"] for row in measured["rows"]} == {"openvino", "onnxruntime", "torch"}
    assert [(one["backend"], one["precision"]) for one in measured["left_out"]] == [("torch-compile", "fp32")]
    assert "C++ compiler" in measured["left_out"][0]["why"]
    assert measured["workers"] == 2
    for row in measured["rows"]:
        assert set(row["rates"]) == {"2", "4", "9", "36"}
        assert row["views_per_s"] == max(row["rates"].values()) == row["rates"][str(row["batch_size"])]
        assert row["equal"]["n"] == 320
        assert row["agrees"]
        assert row["apart"] < 1e-3
    eager = next(row for row in measured["rows"] if row["backend"] == "torch")
    assert eager["apart"] < 1e-5


def test_auto_means_the_fastest_from_then_on(measured, tiny):
    best = max(measured["rows"], key=lambda row: row["views_per_s"])
    assert measured["auto"] == {"fp32": best["backend"]}
    prepared = prepare(tiny)
    assert (prepared.backend, prepared.batch_size) == (best["backend"], best["batch_size"])
    assert prepared.views_per_s == pytest.approx(best["views_per_s"] / 2)
    (note,) = [note for note in prepared.card.notes if "snellen bench" in note]
    assert note.startswith(f"backend {best['backend']}: the fastest here")
    assert prepare(tiny, backend="openvino").backend == "openvino"


def entry_of(spec):
    return prepare(spec, backend="torch").entry


def say(entry, backend):
    """As if `bench` had found that backend the best here."""
    remember(entry, best_name("fp32", "cpu"), {"backend": backend, "date": "2026-01-02", "views_per_s": {backend: 9.0}})


def test_a_run_that_was_begun_before_goes_on_as_it_was(tiny, pictures, tmp_path):
    entry = entry_of(tiny)
    say(entry, "openvino")
    first = snellen.study(tiny, pictures, out=tmp_path / "old", limit=2, workers=1)
    assert first.record["model"]["backend"] == "openvino"
    say(entry, "onnxruntime")
    done = run_cli("study", pictures, "-m", tiny, "-o", tmp_path / "old", "--limit", 4, "--workers", 1)
    assert done.returncode == 0, done.stderr
    again = snellen.load_run(tmp_path / "old")
    assert again.record["model"]["backend"] == "openvino"
    assert len(again.image_ids) == 4
    assert "onnxruntime" not in done.stderr
    done = run_cli("study", pictures, "-m", tiny, "-o", tmp_path / "new", "--limit", 2, "--workers", 1)
    assert done.returncode == 0, done.stderr
    new = snellen.load_run(tmp_path / "new")
    assert new.record["model"]["backend"] == "onnxruntime"
    assert (
        "backend onnxruntime: the fastest here by `snellen bench` on 2026-01-02 (onnxruntime 9 views/s)" in done.stderr
    )
    np.testing.assert_allclose(new.answers("p0"), again.answers("p0")[:2], atol=1e-4)
    line = one_line(run_cli("study", pictures, "-m", tiny, "-o", tmp_path / "old", "--backend", "onnxruntime", "-q"))
    assert "backend: openvino there, onnxruntime here" in line


def test_another_machine_is_measured_for_itself(tiny, monkeypatch):
    entry = entry_of(tiny)
    say(entry, "onnxruntime")
    assert prepare(tiny, measure=False).backend == "onnxruntime"
    here = host_module.host()
    for other in ({"cpu": "another"}, {"cores": here["cores"] + 1}, {"onnxruntime": "0.1"}, {"openvino": None}):
        monkeypatch.setattr(host_module, "host", lambda other=other: here | other)
        assert recall(entry, best_name("fp32", "cpu")) is None
        assert prepare(tiny, measure=False).backend == "openvino"


def test_what_is_no_longer_installed_is_not_chosen(tiny, monkeypatch):
    say(entry_of(tiny), "torch-compile")
    monkeypatch.setenv("CXX", "/nowhere/g++")
    assert prepare(tiny, measure=False).backend == "openvino"


def row(backend, rate, agrees, apart=0.0):
    return Row(backend, "fp32", {4: rate, 9: rate / 2}, apart, share(np.ones(3, bool)), agrees)


def test_a_backend_that_differs_is_never_auto(tiny):
    names = ("openvino", "onnxruntime", "torch")
    ready = [prepare(tiny, backend=name, measure=False) for name in names]
    rows = [row("openvino", 50.0, True), row("onnxruntime", 90.0, False, 0.5), row("torch", 20.0, True)]
    assert remember_best(rows, ready, "fp32", "cpu", 2) == "openvino"
    assert prepare(tiny).backend == "openvino"
    assert prepare(tiny, backend="onnxruntime").batch_size == 4
    assert remember_best([row("openvino", 50.0, False)], ready, "fp32", "cpu", 2) is None
    assert recall(ready[0].entry, best_name("fp32", "cpu")) is None, "what was the best once may be wrong by now"


def test_a_best_backend_that_no_longer_agrees_is_chosen_no_more(tiny):
    names = ("openvino", "onnxruntime")
    ready = [prepare(tiny, backend=name, measure=False) for name in names]
    say(ready[0].entry, "onnxruntime")
    assert prepare(tiny, measure=False).backend == "onnxruntime"
    rows = [row("openvino", 50.0, False, 0.5), row("onnxruntime", 90.0, False, 0.5)]
    assert remember_best(rows, ready, "fp32", "cpu", 2) is None
    assert prepare(tiny, measure=False).backend == "openvino", "as where nothing was measured"


class Disturbed:
    """Measuring processes on a machine where something else ran in the second and third round."""

    def __init__(self):
        self.batches, self.asked = [], []

    def load(self, prepared):
        self.batches.append(prepared.batch_size)
        return len(self.batches) - 1

    def rate(self, candidate, seconds):
        self.asked.append(candidate)
        rounds = self.asked.count(candidate)
        whole = {2: 100.0, 4: 120.0, 9: 110.0, 36: 90.0}[self.batches[candidate]]
        return whole if rounds == 1 or self.batches[candidate] != 4 else whole / 3

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None


def test_the_best_batch_size_is_that_of_the_best_round(tiny, monkeypatch):
    processes = Disturbed()
    monkeypatch.setattr(measure, "measurers", lambda *_: processes)
    assert measure.tuned(prepare(tiny, measure=False)) == {"batch_size": 4, "views_per_s": 120.0}
    assert processes.asked == [0, 1, 2, 3] * 3, "they take turns"


def test_a_model_that_cannot_run_in_a_measuring_process_is_said(tiny):
    prepared = prepare(tiny, backend="torch")
    with measure.measurers(2, "cpu") as processes:
        with pytest.raises(ModelError, match="unknown kind of model"):
            processes.load(type(prepared)(**{**prepared.__dict__, "text": "no/such"}))
        assert processes.load(prepared.with_batch(2)) == 0
        assert processes.rate(0, 0.01) > 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("no/such",), "unknown kind of model"),
        (("embedded/efficientnet_lite0", "--precision", "fp33"), "unknown precision 'fp33'"),
        (("embedded/efficientnet_lite0", "--device", "tpu"), "unknown device 'tpu'"),
        (("embedded/efficientnet_lite0", "--workers", "0"), "--workers 0: expected a whole number"),
        (("embedded/efficientnet_lite0", "--precision", "int8", "--device", "cuda"), "int8 runs on the CPU only"),
        (("vlm/x@http://localhost:1/v1",), "answers in words"),
    ],
)
def test_a_wrong_call_costs_a_line(arguments, said):
    assert said in one_line(run_cli("bench", *arguments))


def test_nothing_to_measure_is_said(tiny):
    for wrong in ({"precisions": []}, {"rounds": 0}, {"workers": 0}):
        with pytest.raises(UsageError, match="nothing to measure"):
            bench(tiny, **wrong)
