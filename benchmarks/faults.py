"""Every fault of tests/faults, and the table of docs/reliability.md: tried, survived, rows lost.

python benchmarks/faults.py [FILE …]

FILE: some of them, as `tests/faults/test_kill.py`. What the last run of each file counted, where all of its tests
passed, is kept in `faults.json` beside this script, and the table is of all that is kept there.

All of them take about 20 minutes on two idle cores; with the test extra, and as root, or full disks are left out.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import common

REPOSITORY = Path(__file__).resolve().parents[1]
FAULTS = REPOSITORY / "tests" / "faults"
KEPT = Path(__file__).with_name("faults.json")


def main() -> None:
    chosen = [Path(name).resolve() for name in sys.argv[1:]] or sorted(FAULTS.glob("test_*.py"))
    seconds: list[list[object]] = []
    failed: list[str] = []
    for file in chosen:
        start = time.monotonic()
        code, found = tried(file)
        seconds.append([file.name, round(time.monotonic() - start)])
        if code:
            failed.append(file.name)
        elif found:
            keep({file.name: found})
    table(json.loads(KEPT.read_text()))
    common.show("Time", ("file", "seconds"), seconds)
    if failed:
        sys.exit(f"not all passed, so that the table has what was kept of them before: {', '.join(failed)}")


def tried(file: Path) -> tuple[int, dict[str, list[int]]]:
    """How the tests of a file end, and of each fault: tried, survived, rows lost."""
    with tempfile.TemporaryDirectory() as folder:
        counts = Path(folder) / "faults.json"
        command = [sys.executable, "-m", "pytest", str(file), "-q"]
        done = subprocess.run(command, cwd=REPOSITORY, env=os.environ | {"SNELLEN_FAULTS": str(counts)}, check=False)
        found = json.loads(counts.read_text()) if counts.exists() else {}
    return done.returncode, dict(sorted(found.items()))


def keep(records: dict[str, dict[str, list[int]]]) -> None:
    """Put what was counted in place of what was kept of the same files; files that are no more are left out."""
    kept = json.loads(KEPT.read_text()) if KEPT.exists() else {}
    kept = {name: found for name, found in sorted((kept | records).items()) if (FAULTS / name).exists()}
    KEPT.write_text(json.dumps(kept, indent=1) + "\n")


def table(kept: dict[str, dict[str, list[int]]]) -> None:
    found: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    for counted in kept.values():
        for fault, counts in counted.items():
            found[fault] = [a + b for a, b in zip(found[fault], counts, strict=True)]
    rows = [[fault, f"{tries:,}", f"{survived:,}", lost] for fault, (tries, survived, lost) in sorted(found.items())]
    total = [sum(counts[k] for counts in found.values()) for k in range(3)]
    rows.append(["all", f"{total[0]:,}", f"{total[1]:,}", total[2]])
    common.show("Faults", ("fault", "tried", "survived", "rows lost"), rows)


if __name__ == "__main__":
    main()
