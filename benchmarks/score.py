"""Wall time of `snellen score`, a whole process each: 50,000 predictions against ImageNet's three label sources.

python benchmarks/score.py [--rounds 5]
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import common
from snellen.labels.imagenet import validation_labels

# Images that have a label by each source.
N = {"imagenet": 50_000, "imagenet-real": 46_837, "imagenet+real": 50_000}


def write_predictions(path: Path) -> None:
    """Seeded guesses, three of four right, in a mixed order."""
    rng = np.random.default_rng(0)
    names, labels = validation_labels()
    with path.open("w") as file:
        file.write("file_name,predicted_class,predicted_probability\n")
        for image in rng.permutation(len(names)):
            guess = labels[image][0] if rng.random() < 0.75 else rng.integers(1000)
            file.write(f"{names[image]},{guess},{rng.random():.3f}\n")


def score(path: Path, data: str) -> tuple[float, dict]:
    command = [sys.executable, "-m", "snellen.cli", "score", str(path), data, "--json"]
    start = time.perf_counter()
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    seconds = time.perf_counter() - start
    if done.returncode:
        sys.exit(done.stderr)
    return seconds, json.loads(done.stdout)["scores"][0]["top1"]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory(prefix="snellen-bench-") as folder:
        path = Path(folder) / "predictions.csv"
        write_predictions(path)
        for data, n in N.items():
            seconds, shares = zip(*(score(path, data) for _ in range(options.rounds)), strict=True)
            if any(share["n"] != n for share in shares):
                sys.exit(f"{data}: n = {shares[0]['n']}, expected {n}")
            rows.append(
                [data, n, f"{100 * shares[0]['value']:.2f}", f"{common.median(seconds):.2f}", f"{max(seconds):.2f}"]
            )
    header = ("data", "n", "top-1, %", "median, s", "slowest, s")
    common.show(f"50,000 predictions, {options.rounds} rounds", header, rows)


if __name__ == "__main__":
    main()
