"""A cascade that is disturbed at each step it takes on the file system, one after the other.

python tests/faults/stepwise_mine.py DATA FOLDER HOW

HOW is as `stepwise.py` has it. The exhaustive study of the same model goes to FOLDER/study. For step n the cascade goes
to FOLDER/n, in a process of its own that is disturbed at that step; then it is run again without, and a study completes
it every third time. Prints a line of JSON for each step: how these processes ended, and what was committed before the
second.
"""

import json
import sys
from pathlib import Path

from stepwise import GRID, disturbed, in_a_child, means, study

from snellen.datasets import open_dataset
from snellen.engine.running import completed
from snellen.mining.cascade import cascade
from snellen.mining.order import Order


def mine(data: Path, out: Path) -> None:
    cascade(open_dataset(data), means(), GRID, out, completed("mine", {"workers": 1}), Order(GRID))


def main() -> None:
    data, folder, how = Path(sys.argv[1]), Path(sys.argv[2]).resolve(), sys.argv[3]
    study(data, folder / "study")
    for number in range(1, 1000):
        out = folder / str(number)

        def first(number: int = number, out: Path = out) -> None:
            steps = disturbed(how, out, number)
            mine(data, out)
            if steps.count < number:
                out.with_suffix(".undisturbed").touch()

        ended = in_a_child(first)
        committed = {str(path.relative_to(out)): path.read_text() for path in out.rglob("mined/*/commits/*.json")}
        again = in_a_child(lambda out=out: mine(data, out))
        whole = in_a_child(lambda out=out: study(data, out)) if number % 3 == 0 else None
        print(json.dumps({"step": number, "ended": ended, "again": again, "study": whole, "committed": committed}))
        if out.with_suffix(".undisturbed").exists():
            break


if __name__ == "__main__":
    main()
