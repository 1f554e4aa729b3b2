"""Clocks that jump while a study runs: its rows do not depend on the time, and its durations stay sane."""

import os
from pathlib import Path

import pytest
from disturbed import lost_rows, run
from looking import only_run, record

import snellen

# Python runs `sitecustomize` of this folder before anything else, in the command and in its workers.
JUMPING = Path(__file__).with_name("jumping_clock")


JUMPS = ["back by an hour at every look", "to before 1970"]


@pytest.mark.parametrize("jump", ["back and forth by years", *(pytest.param(j, marks=pytest.mark.slow) for j in JUMPS)])
def test_a_clock_that_jumps(jump, pictures, tiny, undisturbed, tmp_path, tally):
    paths = os.pathsep.join([str(JUMPING), *filter(None, [os.environ.get("PYTHONPATH")])])
    with tally.fault("clock that jumps") as case:
        environment = {"PYTHONPATH": paths, "SNELLEN_TEST_CLOCK": jump}
        for limit in ("9", "24"):
            done = run(pictures, tiny, tmp_path, "--limit", limit, env=environment)
            assert done.returncode == 0, done.stderr
        case.lost = lost_rows(tmp_path, undisturbed.rows)
    for session in record(tmp_path)["sessions"]:
        assert 0 < session["seconds"] < 300
        assert session["views_per_s"] > 0
    found = snellen.load_run(only_run(tmp_path))
    assert all(0 <= commit["seconds"] < 300 for commit in found.commits.values())
    # The clock really was another.
    assert max(abs(commit["started"] - os.stat(tmp_path).st_mtime) for commit in found.commits.values()) > 3000
