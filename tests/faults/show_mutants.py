"""Decode and cut damaged images one after the other in this process, and print a line of JSON about each.

python tests/faults/show_mutants.py FIRST STOP [every zoom of the paper grid for one in …]

A hang ends the process with a traceback, and a crash ends it by itself: either way the last line says where.
"""

import faulthandler
import json
import re
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "helpers"))

from mutants import mutant

from snellen.zoom import PAPER_GRID, paper_grid
from snellen.zoom.render import UnreadableImage, decode, render

SECONDS = 60
FEW = paper_grid(scales=(10, 224, 1024))


def main() -> None:
    first, stop, every = map(int, sys.argv[1:])
    for number in range(first, stop):
        faulthandler.dump_traceback_later(SECONDS, exit=True)
        start = time.process_time()
        line: dict[str, object] = {"number": number}
        try:
            picture = decode(mutant(number))
            views = render(picture, (FEW if number % every else PAPER_GRID).rules)
            line |= {"size": picture.size, "views": list(views.shape), "sum": int(views.sum())}
        except UnreadableImage as error:
            line |= {"error": str(error)}
        print(json.dumps(line | {"seconds": time.process_time() - start}), flush=True)
    faulthandler.cancel_dump_traceback_later()
    # `ru_maxrss` would count what the process was forked from.
    peak = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert peak
    print(json.dumps({"megabytes": int(peak[1]) / 1024}))


if __name__ == "__main__":
    main()
