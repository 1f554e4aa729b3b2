"""Every benchmark in turn, some hours on two cores: `python benchmarks/all.py DATA --checkpoint FILE`."""

import subprocess
import sys
from pathlib import Path

SCRIPTS = (
    *("exact", "precision", "speed", "evaluate", "overhead", "startup", "stages"),
    *("memory", "memo", "anytime", "unseen", "ray_engine", "suspects", "duplicates", "mining"),
)


def main():
    for name in SCRIPTS:
        subprocess.run([sys.executable, str(Path(__file__).with_name(f"{name}.py")), *sys.argv[1:]], check=True)
    for name in ("rendering", "view"):
        subprocess.run([sys.executable, str(Path(__file__).with_name(f"{name}.py")), sys.argv[1]], check=True)
    for name in ("score", "analysis", "cover", "planner", "scaling", "mining_scale"):
        subprocess.run([sys.executable, str(Path(__file__).with_name(f"{name}.py"))], check=True)


if __name__ == "__main__":
    main()
