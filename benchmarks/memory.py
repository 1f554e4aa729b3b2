"""Peak memory of all processes of a study together (sum of proportional set sizes), for a folder and for its copies.

python benchmarks/memory.py DATA --checkpoint FILE [--copies 10]
"""

import subprocess
import sys
import time
from pathlib import Path

import psutil

import common


def peak(command: list[str]) -> float:
    """Run a command; the largest sum of PSS over its process tree in MB, sampled four times a second."""
    process = psutil.Popen(command, stdout=subprocess.DEVNULL)
    most = 0
    while process.poll() is None:
        try:
            family = [process, *process.children(recursive=True)]
            most = max(most, sum(p.memory_full_info().pss for p in family))
        except psutil.Error:
            pass
        time.sleep(0.25)
    if process.returncode:
        sys.exit(f"exit code {process.returncode}")
    return most / 2**20


def main():
    parser = common.arguments(__doc__)
    parser.add_argument("--copies", type=int, default=10)
    parser.add_argument("--precision", default="bf16")
    parser.add_argument("--model", help="another model than mobilenetv2_100")
    options = parser.parse_args()
    model, rows = options.model or common.mobilenet(options.checkpoint), []
    base = [sys.executable, "-m", "snellen.cli", "study"]

    def measure(data: Path, *more: str) -> float:
        flags = ["-m", model, "--precision", options.precision, "--workers", "2", "-q", *more]
        return common.fresh(lambda out: peak([*base, str(data), *flags, "-o", str(out)]))

    def repeated(folder: Path) -> float:
        data = common.copies(options.data, options.copies, folder)
        rows.append([len(list(data.glob("*/*"))), f"{measure(data):.0f}"])
        return 0.0

    measure(options.data, "--limit", "1")  # preparing the model, which imports torch, is done once and not measured
    rows.append([len(list(options.data.glob("*/*"))), f"{measure(options.data):.0f}"])
    if options.copies > 1:
        common.fresh(repeated)
    common.show(f"Peak memory, {model.split('@')[0]}, 2 workers, {options.precision}", ("images", "MB"), rows)


if __name__ == "__main__":
    main()
