"""A mining that was killed at its end, and files of one that were damaged afterwards."""

import json
import shutil
import subprocess
import sys

import pyarrow.parquet as pq
import pytest
from small_mining import expected, hard_of, mine

from snellen.errors import UsageError
from snellen.mining.hardset import read
from snellen.store.find import find_runs
from snellen.store.mined import forwards

pytestmark = pytest.mark.usefixtures("few_zooms")


def test_a_candidates_file_that_mine_json_does_not_name_is_told(mined, tmp_path):
    out = shutil.copytree(mined, tmp_path / "hard")
    table = pq.read_table(out / "candidates.parquet")
    pq.write_table(table.slice(0, 1), out / "candidates.parquet")
    with pytest.raises(UsageError, match=r"is not what mine\.json names"):
        read(out)


@pytest.mark.parametrize("kill", ["before candidates.parquet", "between", "after mine.json"])
def test_a_kill_at_any_step_of_the_end_leaves_no_hard_set_that_loads_by_half(
    kill, data, models, studies, mined, tmp_path
):
    """A first mining that dies at each write of its end; then the same command, or another one, goes on."""
    code = (
        "import os, sys, runpy\n"
        "from snellen.mining import record\n"
        "write, kill = record.write_atomic, sys.argv[1]\n"
        "def dying(path, data):\n"
        "    if kill.startswith('before') and path.name == 'candidates.parquet': os.kill(os.getpid(), 9)\n"
        "    write(path, data)\n"
        "    if kill == 'between' and path.name == 'candidates.parquet': os.kill(os.getpid(), 9)\n"
        "    if kill.startswith('after') and path.name == 'mine.json': os.kill(os.getpid(), 9)\n"
        "record.write_atomic = dying\n"
        "from pathlib import Path\n"
        "import json, pyarrow.parquet as pq\n"
        "whole, out = Path(sys.argv[2]), Path(sys.argv[3])\n"
        "done = json.loads((whole / 'mine.json').read_text())\n"
        "done.pop('candidates')\n"
        "table = pq.read_table(whole / 'candidates.parquet')\n"
        "begun = {**done, 'sessions': [], 'funnel': []}\n"
        "with record.open_hard(out, begun, print) as (before, lock):\n"
        "    record.finish(out, lock, before, done, table, {'views': 1})\n"
    )
    out = tmp_path / "hard"
    done = subprocess.run([sys.executable, "-c", code, kill, str(mined), str(out)], capture_output=True, text=True)
    assert done.returncode == -9, done.stderr
    assert (out / "candidates.parquet").exists() == (kill != "before candidates.parquet")
    if kill == "after mine.json":
        assert read(out).images
        return
    with pytest.raises(UsageError, match=r"mining has not finished .*; let `snellen mine"):
        read(out)
    mine(models[0], data, out)  # otherwise than what died: there is nothing to protect
    assert hard_of(out, data) == expected(studies, 1, (0, 1), 1)
    assert len(read(out).images) == len(hard_of(out, data))


def test_a_damaged_part_of_a_miner_is_mined_again_and_one_of_another_model_is_passed_over(
    data, models, mined, tmp_path
):
    out = shutil.copytree(mined, tmp_path / "hard")
    whole = hard_of(out, data)
    mine(models[2], data, tmp_path / "other")
    for run in find_runs(tmp_path / "other"):
        shutil.copytree(run.path, out / run.path.relative_to(tmp_path / "other"))
    damaged = 0
    for part in out.glob("*/*/*/mined/0/parts/*.predictions.parquet"):
        if "Third" in str(part) or not damaged:
            part.write_bytes(part.read_bytes()[:-9])
            damaged += "Third" not in str(part)
    before = json.loads((out / "mine.json").read_text())
    mining = mine(models[:2], data, out)
    assert hard_of(out, data) == whole
    assert damaged == 1
    (session,) = mining.record["sessions"][len(before["sessions"]) :]
    assert 0 < session["views"] < mining.record["views"]
    assert mining.record["views"] == sum(forwards(run) for run in find_runs(out) if "Third" not in run.model)
    assert mine(models[:2], data, out).record == mining.record
