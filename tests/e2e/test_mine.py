"""`snellen mine` as a user calls it: what it prints and writes, what it refuses, and that a kill costs nothing."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import pyarrow.parquet as pq
import pytest
from cascades import mixed_labels
from commands import one_line, run_cli

import snellen
from snellen.mining.hardset import read


@pytest.fixture(scope="module")
def labelled(tiny, pictures, tmp_path_factory):
    """A label file by which every third picture is hard for the tiny network, and the ids of these."""
    folder = tmp_path_factory.mktemp("labelled")
    study = snellen.study(tiny, pictures, out=folder / "study", workers=1)
    csv = folder / "labels.csv"
    labels = mixed_labels(study, csv)
    right = dict(zip(study.image_ids, study.correct(csv).any(axis=1), strict=True))
    assert set(labels) == set(right)
    return csv, {image for image, read in right.items() if not read}


def command(pictures, tiny, labels, out, *more):
    return ("mine", pictures, "-m", tiny, "-o", out, "--labels", labels, "--workers", "1", *more)


def mined_ids(out):
    return set(pq.read_table(out / "candidates.parquet")["image_id"].to_pylist())


def test_the_funnel_is_printed_and_the_same_command_again_says_what_is_there(pictures, tiny, labelled, tmp_path):
    labels, hard = labelled
    done = run_cli(*command(pictures, tiny, labels, tmp_path))
    assert done.returncode == 0, done.stderr
    assert f"{len(hard)} of 24 images are hard: {tiny} is wrong at each zoom" in done.stdout
    assert f"Next: `snellen suspects {tmp_path}`" in done.stdout
    assert mined_ids(tmp_path) == hard
    again = run_cli(*command(pictures, tiny, labels, tmp_path, "--json"))
    record = json.loads(again.stdout)
    (stage,) = record["funnel"]
    assert (stage["shown"], stage["read"], stage["failed"]) == (24, 24 - len(hard), len(hard))
    assert stage["floor"] == 324 * len(hard) + 24 - len(hard)
    assert stage["exhaustive"] == 24 * 324
    assert f"{stage['forwards']:,} forwards where exhaustive studies take 7,776: " in done.stdout
    assert len(record["sessions"]) == 1
    assert record["sessions"][0]["views"] == stage["forwards"]
    # What review needs is there.
    assert {image.mined.image_id for image in read(tmp_path).images} == hard

    # There is no study to report on, and a report over none is not written.
    assert "`snellen study DATA -m MODEL -o" in one_line(run_cli("report", tmp_path))
    assert not (tmp_path / "report").exists()

    # Other configurations cost a line, and change nothing.
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.parquet")}
    assert "mined otherwise (limit: all images there, 5 here)" in one_line(
        run_cli(*command(pictures, tiny, labels, tmp_path, "--limit", "5", "-q"))
    )
    assert "mined otherwise (data: " in one_line(run_cli("mine", pictures, "-m", tiny, "-o", tmp_path, "-q"))
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.parquet")} == before


def test_nothing_and_everything_hard_cost_a_line(pictures, tiny, labelled, tmp_path):
    labels, hard = labelled
    header, *lines = labels.read_text().splitlines()
    for name in ("none", "all"):
        csv, rows = tmp_path / f"{name}.csv", []
        for line in lines:  # the others are left without a label
            image = line.split('"')[1]
            rows.append(line if (image in hard) == (name == "all") else f'"{image}",""')
        csv.write_text("\n".join([header, *rows]) + "\n")
        said = one_line(run_cli(*command(pictures, tiny, csv, tmp_path / name, "-q")))
        assert ("is hard: after" if name == "none" else f"all {len(hard)} images of") in said
        assert not (tmp_path / name / "candidates.parquet").exists()


@pytest.mark.slow
def test_killed_at_random_moments_it_ends_with_what_an_undisturbed_one_finds(pictures, tiny, labelled, tmp_path):
    labels, hard = labelled
    whole = run_cli(*command(pictures, tiny, labels, tmp_path / "whole", "--json"))
    expected = json.loads(whole.stdout)
    rng, out, kills = random.Random(0), tmp_path / "killed", 0
    while True:
        words = [*map(str, command(pictures, tiny, labels, out, "-q"))]
        process = subprocess.Popen([sys.executable, "-m", "snellen.cli", *words], start_new_session=True)
        try:
            process.wait(rng.uniform(1, 6) if kills < 6 else 300)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            kills += 1
            time.sleep(0.2)  # workers end with their parent
            continue
        break
    assert process.returncode == 0
    assert mined_ids(out) == hard
    record = json.loads((out / "mine.json").read_text())
    assert [record["hard"], record["exhaustive"]] == [expected["hard"], expected["exhaustive"]]
    tables = [pq.read_table(folder / "candidates.parquet") for folder in (out, tmp_path / "whole")]
    assert tables[0] == tables[1]
