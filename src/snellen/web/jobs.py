"""The child process that makes a data file: it reads what the server has no room for."""

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from snellen.engine.child import become_child, error_event
from snellen.places import place
from snellen.web.columns import write_images
from snellen.web.index import read_index
from snellen.web.models import write_model
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
    """Make the file of a job."""
    of = set_of_job(job["set"])
    path, index = Path(job["path"]), Path(job["index"])
    Path(job["pieces"]).mkdir(parents=True, exist_ok=True)
    if job["what"] == "images":
        write_images(of, path, index)
        return
    os.nice(10)  # the page has its images and is being looked at
    (model,) = (one for one in of.models if one.key == job["what"])
    write_model(model, read_index(index), path, Path(job["pieces"]))
