"""Every fault of tests/faults, and the table of docs/reliability.md: tried, survived, rows lost.

python benchmarks/faults.py [-k EXPRESSION]

About 20 minutes on two cores; with the test extra, and as root, or full disks are left out.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import common

REPOSITORY = Path(__file__).resolve().parents[1]


def main():
    with tempfile.TemporaryDirectory() as folder:
        counts = Path(folder) / "faults.json"
        command = [sys.executable, "-m", "pytest", "tests/faults", "-q", *sys.argv[1:]]
        done = subprocess.run(command, cwd=REPOSITORY, env=os.environ | {"SNELLEN_FAULTS": str(counts)}, check=False)
        found = json.loads(counts.read_text()) if counts.exists() else {}
    rows = [[fault, f"{tried:,}", f"{survived:,}", lost] for fault, (tried, survived, lost) in sorted(found.items())]
    total = [sum(count[k] for count in found.values()) for k in range(3)]
    rows.append(["all", f"{total[0]:,}", f"{total[1]:,}", total[2]])
    common.show("Faults", ("fault", "tried", "survived", "rows lost"), rows)
    sys.exit(done.returncode)


if __name__ == "__main__":
    main()
