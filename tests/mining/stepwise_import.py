"""An import that is disturbed at each step it takes on the file system, one after the other.

python tests/mining/stepwise_import.py HARD CSV FOLDER HOW

HOW: as of `faults/stepwise.py`. For step n a copy of HARD, FOLDER/n, is disturbed at that step; then the import is run
again without. Prints a line of JSON for each step: how both ended, how many verdicts there were after each, and which
of them twice.
"""

import json
import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "faults"))

from stepwise import PowerCut, disturbed, in_a_child

from snellen.mining.hardset import read
from snellen.mining.review import take


def state(hard: Path) -> tuple[int, int]:
    """How many verdicts there are, and how many images have two that stand."""
    found = read(hard)
    return len(found.verdicts), sum(len(image.standing) > 1 for image in found.images)


def main() -> None:
    hard, csv, folder, how = *map(Path, sys.argv[1:4]), sys.argv[4]
    number, done = 0, False
    while not done:
        number += 1
        here, notes = folder.resolve() / str(number), folder / f"{number}.notes"
        shutil.copytree(hard, here)

        def first(here: Path = here, number: int = number, notes: Path = notes) -> None:
            steps = disturbed(how, here, number)
            if isinstance(steps, PowerCut):  # what was there before is surely on the disk
                for path in (here.parent, here, *here.rglob("*")):
                    steps.synced(path)
            try:
                take(csv, read(here), "ada")
            finally:
                notes.write_text(str(steps.count))

        ended = in_a_child(first)
        done = ended == 0 and int(notes.read_text()) < number
        between = state(here)
        again = in_a_child(lambda here=here: take(csv, read(here), "ada"))
        print(json.dumps({"ended": ended, "between": between, "again": again, "after": state(here), "done": done}))


if __name__ == "__main__":
    main()
