"""Ctrl-C and SIGTERM: exit 3, one line that says how to go on, and the rest is done by the same command."""

import os
import random
import signal
import time

import pytest
from disturbed import Hold, committed, goes_on, lost_rows, run, start, wait_for
from looking import commits

ADVICE = "snellen: interrupted; run the same command again to resume"


def interrupt(process, number):
    """Ctrl-C reaches the whole group of a terminal's processes, SIGTERM the one it is sent to."""
    (os.killpg if number == signal.SIGINT else os.kill)(process.pid, number)


def check_stopped(process, lines):
    """A process that has ended, and all that it said."""
    assert process.returncode == 3, lines
    assert lines.splitlines()[-1] == ADVICE
    assert "Traceback" not in lines


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_in_the_middle(number, pictures, tiny, undisturbed, tmp_path, tally):
    with tally.fault(signal.Signals(number).name) as case:
        process = start(pictures, tiny, tmp_path, "-q", env=Hold(tmp_path, 2).environment)
        wait_for(lambda: len(commits(tmp_path)) >= 2)
        interrupt(process, number)
        _, errors = process.communicate(timeout=60)
        check_stopped(process, errors)
        before = committed(tmp_path)
        assert run(pictures, tiny, tmp_path).returncode == 0
        after = commits(tmp_path)
        assert {name: after[name] for name in before} == before
        case.lost = lost_rows(tmp_path, undisturbed.rows)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_at_random_moments(number, pictures, tiny, undisturbed, tmp_path, tally):
    """From its first line on: also while the data set is opened, the model is prepared, workers start."""
    rng = random.Random(number)
    for _ in range(10):
        process = start(pictures, tiny, tmp_path)
        first = process.stderr.readline()
        assert first.startswith("opening")
        if not goes_on(process, rng.uniform(0, undisturbed.seconds / 3)):
            process.communicate()
            break
        interrupt(process, number)
        _, errors = process.communicate(timeout=60)
        committed(tmp_path)
        if process.returncode == 0:  # it was done just before
            break
        with tally.fault(signal.Signals(number).name):
            check_stopped(process, first + errors)
    with tally.fault("the same command after interrupts") as case:
        done = run(pictures, tiny, tmp_path)
        assert done.returncode == 0, done.stderr
        case.lost = lost_rows(tmp_path, undisturbed.rows)


@pytest.mark.slow
def test_an_impatient_user(pictures, tiny, undisturbed, tmp_path, tally):
    """Ctrl-C four times in a row."""
    with tally.fault("SIGINT, again and again") as case:
        process = start(pictures, tiny, tmp_path, "-q", env=Hold(tmp_path, 1).environment)
        wait_for(lambda: commits(tmp_path))
        for _ in range(4):
            if process.poll() is None:
                interrupt(process, signal.SIGINT)
                time.sleep(0.03)
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 3, errors
        committed(tmp_path)
        assert run(pictures, tiny, tmp_path).returncode == 0
        case.lost = lost_rows(tmp_path, undisturbed.rows)
