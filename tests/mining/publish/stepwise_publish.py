"""A publication that is disturbed at each step it takes on the file system, one after the other.

python tests/mining/publish/stepwise_publish.py HARD FOLDER HOW

HOW: as of `faults/stepwise.py`. For step n it goes to FOLDER/n/out, in a process of its own that is disturbed at that
step; then it is run again without. Prints a line of JSON for each step: how both ended, what lay at OUT after each
(null: nothing; else how many images, and whether they are those of the hard set, with the card), and what lay beside.
"""

import hashlib
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "faults"))

from stepwise import PowerCut, disturbed, in_a_child

from snellen.datasets import open_dataset
from snellen.mining.hardset import read
from snellen.mining.publish.given import Options
from snellen.mining.publish.publish import publish


class Renamed(dict):
    """Names that are surely on the disk, by folder: one that was renamed has those it had before."""

    def get(self, folder, default=None):
        before = Path(str(folder).replace("/out", "/.out.snellen-publishing", 1))
        return super().get(folder) or super().get(before, default)


def state(hard: Path, out: Path) -> tuple[int, bool] | None:
    if not out.exists():
        return None
    dataset = open_dataset(f"parquet/{out}")
    found = {item.id: hashlib.sha256(dataset.read(k)).hexdigest() for k, item in enumerate(dataset.items)}
    truth = {image.mined.id: image.mined.sha256 for image in read(hard).images}
    card = json.loads((out / "publish.json").read_text())["cards"]
    same = hashlib.sha256((out / "README.md").read_bytes()).hexdigest() in card
    return len(found), found == truth and same


def main() -> None:
    hard, folder, how = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve(), sys.argv[3]
    origins = {image.mined.origin for image in read(hard).images}
    options = Options(undecided="keep", licences=[f"{origin}=CC0-1.0" for origin in origins])
    number, done = 0, False
    while not done:
        number += 1
        here, notes = folder / str(number), folder / f"{number}.notes"
        here.mkdir()

        def first(here: Path = here, number: int = number, notes: Path = notes) -> None:
            steps = disturbed(how, here, number)
            if isinstance(steps, PowerCut):
                steps.names = Renamed()
                steps.synced(here.parent)  # the folder was there before
                steps.synced(here)
            try:
                publish(hard, here / "out", options)
            finally:
                notes.write_text(str(steps.count))

        ended = in_a_child(first)
        done = ended == 0 and int(notes.read_text()) < number
        between = state(hard, here / "out")
        again = in_a_child(lambda here=here: publish(hard, here / "out", options))
        beside = sorted(path.name for path in here.iterdir() if path.name != "out")
        inside = sorted(str(path.relative_to(here)) for path in (here / "out").rglob("*") if path.is_file())
        record = {"ended": ended, "between": between, "again": again, "after": state(hard, here / "out")}
        print(json.dumps({**record, "beside": beside, "inside": inside, "done": done}))


if __name__ == "__main__":
    main()
