"""What the page on scaling says of hand-out, at a size that a test has time for."""

import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


def table(*command) -> list[list[str]]:
    """The cells of the rows below the header of the last table that a benchmark prints."""
    done = subprocess.run([sys.executable, *command], cwd=BENCHMARKS, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [line.strip("| ").split(" | ") for line in done.stdout.rpartition("---|")[2].splitlines() if "|" in line]


def test_a_thousand_shards_are_planned_handed_out_and_committed(tmp_path):
    code = f"import planner, common, pathlib; rows = planner.planned(1000, 40, pathlib.Path({str(tmp_path)!r}))[1]"
    seconds = {name: float(took) for name, took in table("-c", f"{code}; common.show('', ['', ''], rows)")}
    parts = ("planned", "handed out and committed")
    assert seconds["planned, handed out and committed"] == pytest.approx(sum(seconds[part] for part in parts), abs=0.2)
    assert len(list(tmp_path.glob("*/*/*/commits/*.json"))) >= 1000


def test_a_thousand_workers_leave_the_driver_idle_and_hardly_wait():
    code = "import planner, common; common.show('', [''], [planner.on_a_clock(1000, 60.0, planner.MESSAGE, 5)])"
    workers, _, message, hand_outs, at_most, driver, waits, _ = table("-c", code)[0]
    assert (workers, message) == ("1,000", "1000 µs")
    assert float(hand_outs) > 12, "a thousand shards a minute are 16.7 a second, less while they start and end"
    assert float(at_most.replace(",", "")) > 5 * float(hand_outs)
    assert float(driver.rstrip("%")) < 25
    assert float(waits.removesuffix(" ms")) < 20


def test_driver_and_hours_of_a_cluster():
    rows = {row[0]: row[1:] for row in table("scaling.py")}
    hours = rows["1 GPU"][1]
    # 97.2 million views at 8,000 a second are 3.375 hours, and each of six studies starts once.
    assert 3.3 <= float(hours.removesuffix(" h")) <= 3.7
    for row in rows.values():
        assert float(row[6]) <= 100, "no more hand-outs a second than planned for"
        assert float(row[8].rstrip("%")) < 50
