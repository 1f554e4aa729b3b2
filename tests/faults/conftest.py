"""What tests of faults share: an undisturbed run to compare with, and a tally of what was tried.

With $SNELLEN_FAULTS set to a file, the tally is kept there; `benchmarks/faults.py` makes a table of it.
"""

import os
import time
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pytest
from disturbed import run, tables
from tally import Tally

TALLY = Tally()

# Programs that tests start, and what a program of theirs imports.
collect_ignore_glob = ["fuzz_*.py", "counted_kills.py", "show_mutants.py", "stepwise*.py", "jumping_clock"]


@pytest.fixture(scope="session")
def tally():
    """`with tally.fault(name) as case`: one fault that is tried."""
    return TALLY


def pytest_sessionfinish():
    if TALLY.counts and "SNELLEN_FAULTS" in os.environ:
        TALLY.write(Path(os.environ["SNELLEN_FAULTS"]))


@dataclass(frozen=True)
class Undisturbed:
    """A study that nothing happened to: where it is, its rows, how many seconds it took with a warm cache."""

    out: Path
    rows: dict[str, pa.Table]
    seconds: float


@pytest.fixture(scope="session")
def undisturbed(pictures, tiny, tmp_path_factory):
    """The study of `pictures` by `tiny` as it should be."""
    run(pictures, tiny, tmp_path_factory.mktemp("warm"), "--limit", "1")
    out = tmp_path_factory.mktemp("undisturbed")
    began = time.monotonic()
    done = run(pictures, tiny, out)
    assert done.returncode == 0, done.stderr
    return Undisturbed(out, tables(out), time.monotonic() - began)
