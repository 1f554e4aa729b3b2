"""`snellen publish` as a user runs it: what it prints, what loads, what a wrong call costs."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from commands import one_line, run_cli
from hard_pictures import hard_pictures
from hard_set import verdict_on

import snellen
from snellen.datasets import open_dataset
from snellen.mining.log import append


@pytest.fixture
def hard(pictures, tmp_path):
    images = hard_pictures(tmp_path / "hard", pictures)
    append(tmp_path / "hard", [verdict_on(images[0], "relabel", "n01484850"), verdict_on(images[1], "drop", seq=1)])
    return tmp_path / "hard"


def test_the_same_images_labels_and_accuracy(hard, pictures, tiny, tmp_path):
    """A model has the answers on what is published that it has on the originals, and the card says so."""
    out, name = tmp_path / "v1", open_dataset(pictures).name
    licence = ["--licence", f"{name}=CC0-1.0"]
    done = run_cli("publish", hard, "-o", out, "--undecided", "keep", *licence, "-q")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{out}: 23 images; written\n"
    for data, where in ((pictures, "before"), (f"parquet/{out}", "after")):
        ran = run_cli("eval", data, "-m", tiny, "-o", tmp_path / where, "-q")
        assert ran.returncode == 0, ran.stderr
    before, after = (snellen.load_run(tmp_path / where) for where in ("before", "after"))
    rows = dict(zip(before.samples["sha256"].to_pylist(), range(24), strict=True))
    order = [rows[sha256] for sha256 in after.samples["sha256"].to_pylist()]
    assert len(order) == 23
    assert (after.answers() == before.answers()[order]).all()
    labels = before.labels()
    relabelled = next(k for k, row in enumerate(order) if after.labels()[k] != labels[row])
    right = before.correct()[order, 0]
    right[relabelled] = before.answers()[order[relabelled], 0] == 2
    assert (after.correct()[:, 0] == right).all()
    renewed = run_cli(
        "publish", hard, "-o", out, "--undecided", "keep", *licence, "--run", tmp_path / "after", "--json"
    )
    assert renewed.returncode == 0, renewed.stderr
    record = json.loads(renewed.stdout)
    assert (record["written"], record["accuracy"][0]["hits"], record["accuracy"][0]["n"]) == ("card", right.sum(), 23)
    # The runs of the originals count as much.
    other = tmp_path / "v2"
    done = run_cli("publish", hard, "-o", other, "--undecided", "keep", *licence, "--run", tmp_path / "before", "-q")
    assert done.returncode == 0, done.stderr
    tables = [(place / "README.md").read_text().partition("## Accuracy")[2].split("\n\n")[2] for place in (out, other)]
    assert tables[0] == tables[1]
    assert "| own transform |" in tables[0]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "22 of 24 images are undecided, 0 of them in conflict: give --undecided keep or --undecided drop"),
        (("--undecided", "keep"), "no licence for 'pictures"),
        (("--undecided", "maybe"), "Invalid value for '--undecided'"),
        (("--undecided", "keep", "--licence", "x=CC-BY-4"), "SPDX knows no 'CC-BY-4'; did you mean CC-BY-4.0?"),
        (("--undecided", "keep", "--licence", "x"), "'x' is neither ORIGIN=SPDX nor a file"),
        (("--upscale", "huge"), "--upscale huge: expected 4k, or a width of 1 to 7680 pixels"),
        (("--upscaler", "x.safetensors"), "--upscaler is of --upscale; give both"),
        (("--repo", "hard"), "--repo 'hard': expected ORG/NAME"),
        (("--format", "zip"), "Invalid value for '--format'"),
        (("--undecided", "keep", "--previous", "nowhere"), "no Parquet file 'nowhere'"),
    ],
)
def test_a_wrong_call_is_one_line_and_writes_nothing(arguments, words, hard, tmp_path):
    done = run_cli("publish", hard, "-o", tmp_path / "out", *arguments)
    if "previous" in str(arguments):
        done = run_cli("publish", hard, "-o", tmp_path / "out", *arguments, "--licence", _licence(hard))
    assert words in one_line(done)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["hard"]


def _licence(hard):
    from snellen.mining.mined import read_mined

    return f"{read_mined(hard).images[0].origin}=MIT"


def test_what_is_no_hard_set(tmp_path):
    assert "is no hard set" in one_line(run_cli("publish", tmp_path, "-o", tmp_path / "out"))


def test_killed_while_it_enlarges(hard, tmp_path):
    """kill -9 in the middle: nothing lies at OUT, and the same command makes it whole."""
    out, work = tmp_path / "twin", tmp_path / ".twin.snellen-work"
    arguments = [
        "publish",
        hard,
        "-o",
        out,
        "--undecided",
        "keep",
        "--licence",
        _licence(hard),
        "--upscale",
        "1500",
        "-q",
    ]
    command = [sys.executable, "-m", "snellen.cli", *map(str, arguments)]
    process = subprocess.Popen(command)
    limit = time.monotonic() + 60
    while len(list(work.glob("*.jpg"))) < 3 and process.poll() is None and time.monotonic() < limit:
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not out.exists()
    assert 3 <= len(list(work.glob("*.jpg"))) < 23, "killed in the middle"
    done = run_cli(*arguments)
    assert done.returncode == 0, done.stderr
    dataset = open_dataset(f"parquet/{out}")
    assert len(dataset.items) == 23
    assert sorted(path.name for path in tmp_path.iterdir()) == ["hard", "twin"]
