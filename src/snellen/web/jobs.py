"""The child process that makes a data file: it reads what the server has no room for."""

import hashlib
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from snellen.engine.child import become_child, error_event
from snellen.locks import only_here
from snellen.places import place
from snellen.web.columns import write_images
from snellen.web.index import UNREADABLE, Index, read_index
from snellen.web.models import write_model
from snellen.web.room import LOCK, used
from snellen.web.site import set_of_job


def serve() -> None:
    """The child process: one job, see `Builder._run`."""
    say = become_child()
    job = json.loads(sys.stdin.readline())
    try:
        do(job)
    except Exception as error:
        say(**error_event(error, place(job["set"]["place"])))
        return
    say(event="done")


def do(job: Mapping[str, Any]) -> None:
    """Make the file of a job, unless another server has; one that is at it is waited for."""
    path, index, pieces = (Path(job[name]) for name in ("path", "index", "pieces"))
    pieces.mkdir(parents=True, exist_ok=True)
    lock = f"{LOCK}-{hashlib.sha256(path.name.encode()).hexdigest()[:2]}"  # so that there are never many
    with only_here(path.parent, lock, wait=True):
        known = _known(index)
        if path.exists() and known is not None:
            return
        of = set_of_job(job["set"])
        if job["what"] == "images":
            write_images(of, path, index)
            return
        os.nice(10)  # the page has its images and is being looked at
        (model,) = (one for one in of.models if one.key == job["what"])
        if known is None:  # the cache was shrunk meanwhile
            write_images(of, index.with_suffix(".json"), index)
            known = read_index(index)
        write_model(model, known, path, pieces)


def _known(index: Path) -> Index | None:
    used(index)  # the server reads it when the job is done
    try:
        return read_index(index)
    except UNREADABLE:
        return None
