"""Seconds from the start of a `snellen study` process to the first views that a worker has classified, and the end.

    python benchmarks/startup.py DATA --checkpoint FILE [--rounds 5]

With a warm model cache. The command runs as it is, but tells what it reports through clocks: each status line, the
first and the last views that it hears of.
"""

import json
import subprocess
import sys
import time
from pathlib import Path

import common

CHILD = """
import contextlib, json, sys, time
import snellen.engine.progress as progress

start, seconds = float(sys.argv.pop(1)), {}

def note(event):
    seconds.setdefault(event, time.clock_gettime(time.CLOCK_MONOTONIC) - start)

class Clocks:
    def status(self, text):
        note(text.split()[0])

    @contextlib.contextmanager
    def bar(self, images, zooms, of):
        note("workers")
        shown = progress.Progress(zooms)
        count = shown.advance
        def advance(views):
            note("first views")
            count(views)
            if shown.views >= images * zooms:
                note("last views")
        shown.advance = advance
        yield shown
        note("end of work")

progress.reporter = lambda quiet: Clocks()
from snellen.cli import main
try:
    main()
finally:
    print(json.dumps(seconds), file=sys.stderr)
"""
EVENTS = {
    "opening": "the command is loaded",
    "preparing": "the data set is open",
    "workers": "the model and the run are open, workers start",
    "first views": "**the first views are classified**",
}
AFTER = {"end of work": "the last shard is committed", "exit": "the command has ended"}


def main():
    parser = common.arguments(__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    columns = []
    for precision in ("fp32", "bf16"):
        command(options, precision)  # warms the cache
        rounds = [command(options, precision) for _ in range(options.rounds)]
        columns.append({event: common.median([found[event] for found in rounds]) for event in rounds[0]})
    rows = [[what, *(f"{seconds[event]:.2f}" for seconds in columns)] for event, what in EVENTS.items()]
    for event, what in AFTER.items():
        rows.append([f"after the last views: {what}", *(f"{s[event] - s['last views']:.2f}" for s in columns)])
    title = f"mobilenetv2_100, seconds since the start of the process, medians of {options.rounds}"
    common.show(title, ("", "float32", "bf16"), rows)


def command(options, precision: str) -> dict[str, float]:
    """The moments of one study of four images, in seconds since its process was started."""
    return common.fresh(lambda out: timed(options.data, common.mobilenet(options.checkpoint), out, precision))


def timed(data: Path, model: str, out: Path, precision: str) -> dict[str, float]:
    start = time.clock_gettime(time.CLOCK_MONOTONIC)
    study = ["study", str(data), "-m", model, "-o", str(out), "--limit", "4", "--precision", precision]
    done = subprocess.run([sys.executable, "-c", CHILD, str(start), *study], capture_output=True, text=True)
    end = time.clock_gettime(time.CLOCK_MONOTONIC) - start
    if done.returncode:
        sys.exit(done.stderr)
    return json.loads(done.stderr.splitlines()[-1]) | {"exit": end}


if __name__ == "__main__":
    main()
