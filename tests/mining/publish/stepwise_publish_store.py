"""A publication into an S3 store that is killed before it changes anything there, and after each such request.

python tests/mining/publish/stepwise_publish_store.py HARD FOLDER OUT

OUT: a URL, of a server that the environment names. For step n, from 0, it goes to OUT/n, in a process of its own that
is killed there; then it is run again without. Prints a line of JSON for each step: how both ended; what Snellen opened
at OUT after each (how many images, and whether they are those of the hard set; null where it refuses); and what was
left of the copy on this machine.
"""

import hashlib
import json
import os
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "faults"))

from aiobotocore.client import AioBaseClient
from stepwise import in_a_child

from snellen.datasets import open_dataset
from snellen.errors import DataError
from snellen.mining.hardset import read
from snellen.mining.publish import write
from snellen.mining.publish.given import Options
from snellen.mining.publish.publish import publish
from snellen.places import place

# An image or two in a file, so that some files can be there without the others.
write.SHARD_BYTES = 150
READS = ("Get", "Head", "List")


def kill_at(step: int) -> None:
    """Kill this process after so many requests that change something; before the first of them where 0."""
    real, count = AioBaseClient._make_api_call, 0

    async def counted(client, operation, arguments):
        nonlocal count
        changes = not operation.startswith(READS)
        if changes and step == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        answer = await real(client, operation, arguments)
        count += changes
        if changes and count == step:
            os.kill(os.getpid(), signal.SIGKILL)
        return answer

    AioBaseClient._make_api_call = counted


def look(hard: Path, out: str, notes: Path) -> None:
    """Write what can be opened at OUT."""
    try:
        dataset = open_dataset(f"parquet/{out}")
    except DataError:
        notes.write_text("null")
        return
    found = {item.id: hashlib.sha256(dataset.read(k)).hexdigest() for k, item in enumerate(dataset.items)}
    truth = {image.mined.id: image.mined.sha256 for image in read(hard).images}
    notes.write_text(json.dumps([len(found), found == truth]))


def main() -> None:
    hard, folder, top = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve(), sys.argv[3]
    origins = {image.mined.origin for image in read(hard).images}
    options = Options(undecided="keep", licences=[f"{origin}=CC0-1.0" for origin in origins])
    number, ended = -1, None
    while ended != 0:
        number += 1
        out, notes = f"{top}/{number}", folder / "notes"
        os.environ["SNELLEN_CACHE"] = str(folder / str(number))

        def disturbed(number: int = number, out: str = out) -> None:
            kill_at(number)
            publish(hard, place(out), options)

        def again(out: str = out, notes: Path = notes) -> None:
            look(hard, out, notes.with_suffix(".between"))
            publish(hard, place(out), options)
            look(hard, out, notes.with_suffix(".after"))

        record = {"ended": (ended := in_a_child(disturbed)), "again": in_a_child(again)}
        record |= {when: json.loads(notes.with_suffix(f".{when}").read_text()) for when in ("between", "after")}
        left = (folder / str(number) / "publishing").rglob("*")
        print(json.dumps({**record, "left": sorted(str(path) for path in left if path.is_file())}))


if __name__ == "__main__":
    main()
