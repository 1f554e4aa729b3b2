"""Damaged images: no crash, no hang, each is read or listed with a reason."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from disturbed import run
from mutants import mutant
from small_study import WNIDS

import snellen

SHOW = Path(__file__).with_name("show_mutants.py")
# What a worker may need beside its model: the largest image that is decoded, twice.
MOST_MEGABYTES = 2500


def shown(first, stop, every):
    command = [sys.executable, str(SHOW), str(first), str(stop), str(every)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=1200)
    *lines, last = map(json.loads, done.stdout.splitlines())
    assert done.returncode == 0, f"after {lines[-1:]} {last}: {done.stderr}"
    assert last["megabytes"] < MOST_MEGABYTES
    return lines


def check(lines, tally, case):
    """Every image once, as views or with one line that says why not."""
    for line in lines:
        if "error" in line:
            assert line["error"].strip()
            assert len(line["error"]) < 500
        else:
            assert line["views"][1:] == [224, 224, 3]
    case.lost = case.times - len({line["number"] for line in lines})
    bad = sum("error" in line for line in lines)
    assert 0.1 < bad / len(lines) < 0.95, "damage was too light or too heavy to say anything"


def test_a_hundred_damaged_images_in_one_process(tally):
    with tally.fault("damaged image, decoded and cut", times=100) as case:
        check(shown(0, 100, 25), tally, case)


@pytest.mark.slow
def test_nine_hundred_more(tally):
    with tally.fault("damaged image, decoded and cut", times=900) as case:
        lines = shown(100, 1000, 10)
        check(lines, tally, case)
    assert max(line["seconds"] for line in lines) < 30


@pytest.mark.slow
def test_damaged_images_through_a_whole_study(tiny, tmp_path, tally):
    numbers = range(2000, 2060)
    for number in numbers:
        folder = tmp_path / "data" / WNIDS[number % len(WNIDS)]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}.jpg").write_bytes(mutant(number))
    with tally.fault("damaged image in a study", times=len(numbers)) as case:
        done = run(tmp_path / "data", tiny, tmp_path / "out")
        assert done.returncode == 4, done.stderr
        found = snellen.load_run(tmp_path / "out")
        assert found.complete
        listed = [image for image, _ in found.errors] + found.image_ids
        assert len(listed) == len(set(listed))
        assert not any("ends the worker" in reason for _, reason in found.errors)
        assert found.frame().num_rows == 324 * len(found.image_ids)
        case.lost = len(numbers) - len(listed)
