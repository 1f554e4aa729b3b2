"""Opens a data set in a process of its own, as a worker does, and prints what it saw as JSON.

`seen.py SPEC STREAM INDEX…`; STREAM is 1 or 0. Waiting between attempts is skipped: all is tried again at once.
"""

import hashlib
import json
import os
import subprocess
import sys
import time


def seen(spec, *read, cwd=None, stream=False, **environment):
    """What another process saw of a data set, and of the images `read` in this order."""
    command = [sys.executable, "-W", "error", __file__, str(spec), str(int(stream)), *map(str, read)]
    env = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    done = subprocess.run(
        command, cwd=cwd, env=env | environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def _look(spec, stream, read):
    from snellen import trouble
    from snellen.datasets import open_dataset
    from snellen.errors import SnellenError
    from snellen.labels import IMAGENET_1K

    trouble.PATIENCE_SECONDS = 1.0
    try:
        dataset = open_dataset(spec, stream=stream)
        ids = [item.id for item in dataset.items]
        answer = {
            "spec": dataset.spec,
            "name": dataset.name,
            "revision": dataset.revision,
            "fingerprint": dataset.fingerprint,
            "ids": ids,
            "origins": [dataset.origin(k) for k in range(len(ids))],
            "labels": dataset.label_sets(ids, IMAGENET_1K),
            "breaks": list(dataset.breaks),
            "images": [],
        }
    except SnellenError as error:
        return {"error": str(error), "exit_code": error.exit_code}
    try:
        for index in read:
            answer["images"].append(hashlib.sha256(dataset.read(index)).hexdigest())
    except OSError as error:
        answer |= {"errno": error.errno, "why": error.strerror}
    return answer | {"reachable": dataset.reachable()}


if __name__ == "__main__":
    time.sleep = lambda _: None
    print(json.dumps(_look(sys.argv[1], sys.argv[2] == "1", [int(index) for index in sys.argv[3:]])))
