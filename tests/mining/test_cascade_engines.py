"""A cascade by real worker processes, with real networks: the hard set and the rows of the exhaustive study."""

from dataclasses import dataclass
from pathlib import Path

import pytest
from cascades import foreign_rows, hard, mixed_labels, whole_parts
from commands import run_cli

import snellen
from snellen.store.mined import forwards, mined_rows

KINDS = ("samples", "predictions", "merged")


@dataclass(frozen=True)
class Mixed:
    """A study, and labels by which it is worth mining; csv: the same as a file."""

    study: snellen.store.Run
    sets: dict[str, list[int]]
    csv: Path

    @property
    def hard(self) -> set[str]:
        """What nothing reads."""
        return hard(self.study, self.sets)


def mixed(data, model, folder, *options) -> Mixed:
    """The exhaustive study."""
    done = run_cli("study", data, "-m", model, "-o", folder, "--workers", 2, "-q", *options)
    assert done.returncode == 0, done.stderr
    study, csv = snellen.load_run(folder), folder / "labels.csv"
    return Mixed(study, mixed_labels(study, csv), csv)


def mine(truth, data, model, out, *options):
    done = run_cli("mine", data, "-m", model, "-o", out, "--labels", truth.csv, "--workers", 2, "-q", *options)
    assert done.returncode == 0, done.stderr
    return snellen.load_run(out)


def check(run, truth):
    whole_parts(run)
    assert hard(run, truth.sets) == truth.hard
    assert len(truth.hard) >= len(truth.sets) // 3
    assert not foreign_rows(run, truth.study)
    assert forwards(run) == len(mined_rows(run))


@pytest.fixture(scope="module")
def small(pictures, tiny, tmp_path_factory):
    return mixed(pictures, tiny, tmp_path_factory.mktemp("small"))


def test_two_worker_processes_and_the_study_that_completes_them(small, pictures, tiny, tmp_path):
    run = mine(small, pictures, tiny, tmp_path)
    check(run, small)
    assert forwards(run) < small.study.answers().size
    done = run_cli("study", pictures, "-m", tiny, "-o", tmp_path, "--workers", 2, "-q")
    assert done.returncode == 0, done.stderr
    whole = snellen.load_run(tmp_path)
    assert whole.complete
    for kind in KINDS:
        assert whole.table(kind).equals(small.study.table(kind)), kind
    shown = sum(commit["views"] for commit in whole.commits.values())
    assert shown == small.study.answers().size - len(small.hard) * len(whole.grid)


@pytest.mark.slow
def test_ray_actors_find_the_same(small, pictures, tiny, tmp_path):
    pytest.importorskip("ray")
    check(mine(small, pictures, tiny, tmp_path, "--engine", "ray"), small)


@pytest.mark.slow
def test_photographs_and_a_real_network(tmp_path):
    model = "embedded/efficientnet_lite0"
    truth = mixed("examples", model, tmp_path / "study", "--limit", 6)
    run = mine(truth, "examples", model, tmp_path / "mined", "--limit", 6)
    check(run, truth)
    done = run_cli("study", "examples", "-m", model, "-o", tmp_path / "mined", "--limit", 6, "-q")
    assert done.returncode == 0, done.stderr
    whole = snellen.load_run(tmp_path / "mined")
    for kind in KINDS:
        assert whole.table(kind).equals(truth.study.table(kind)), kind
    assert hard(whole, truth.sets) == truth.hard
