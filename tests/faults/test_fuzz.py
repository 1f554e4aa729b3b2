"""The fuzz targets, for a short while each; started by hand they go on as long as they are told to."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

SECONDS = 25


@pytest.mark.slow
@pytest.mark.parametrize("target", ["reader", "folder"])
def test_a_short_run_finds_nothing(target, tmp_path, tally):
    """libFuzzer ends with another code than 0 at the first crash, hang or exception that is not expected."""
    pytest.importorskip("atheris")
    script = Path(__file__).with_name(f"fuzz_{target}.py")
    options = [f"-max_total_time={SECONDS}", "-seed=1", "-timeout=20", "-rss_limit_mb=4096", "-print_final_stats=1"]
    (tmp_path / "corpus").mkdir()
    done = subprocess.run(
        [sys.executable, str(script), *options, f"-artifact_prefix={tmp_path}/", str(tmp_path / "corpus")],
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | {"TMPDIR": str(tmp_path)},
    )
    found = re.search(r"number_of_executed_units: (\d+)", done.stderr)
    tried = int(found[1]) if found else 1
    what = {"reader": "a run directory that is read", "folder": "a class folder that is opened"}[target]
    with tally.fault(f"fuzzing: {what}", times=tried):
        assert done.returncode == 0, done.stderr[-3000:]
        assert tried > 100, "a machine that is as slow as this shows nothing in that time"
    covered = [int(n) for n in re.findall(r"cov: (\d+)", done.stderr)]
    assert covered[-1] > covered[0], "what was tried did not depend on what it reached"
