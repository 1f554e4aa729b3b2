"""The data files of a target, kept in the cache under names that change with what they hold.

A name comes from commit records and label files alone, so that a warm start reads nothing else. What is slow is made
in a child process, one file after the other: first the images of every set, then the columns of its models. While a
study goes on, its files are made anew now and then; until then the earlier ones stand.
"""

import json
import subprocess
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from snellen import __version__
from snellen.atomic import write_atomic
from snellen.engine.child import child_command
from snellen.errors import EngineError, SnellenError
from snellen.web.answers import CHUNK, chunk_bytes, chunk_name, parts_of
from snellen.web.classes import classes_record
from snellen.web.index import UNREADABLE, read_index
from snellen.web.listing import grid_entry, set_entry
from snellen.web.made import Made
from snellen.web.site import Target
from snellen.web.versions import FORMAT, images_version, model_version
from snellen.web.viewed import ViewSet, digest

# Seconds between two looks for what was written since.
LOOK = 2.0
# A page that asks for images waits so long for their file.
PATIENCE_SECONDS = 300.0


class Builder:
    """The data files of a target. Safe to use from several threads.

    Files lie in `data` of the cache folder, which several targets and servers may share.
    """

    def __init__(self, target: Target, cache_folder: Path) -> None:
        """Begins at once; close it at the end."""
        self.target, self._folder = target, cache_folder / "data"
        (self._folder / "pieces").mkdir(parents=True, exist_ok=True)
        self._changed = threading.Condition()
        self._files: dict[tuple[str, str], Made] = {}
        self._named: set[str] = set()
        self._first: str | None = None
        self._child: subprocess.Popen[str] | None = None
        self._closed, self._looked = False, float("-inf")
        self._reading = threading.Lock()
        self._look()
        self._thread = threading.Thread(target=self._work, name="data files", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the work; what is not finished is made at the next start."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            if self._child is not None:
                self._child.kill()
        self._thread.join()

    def site(self) -> dict[str, Any]:
        """What `data/site.json` holds; also looks for what was written since."""
        with self._changed:
            if self._looked + LOOK < time.monotonic():
                self._look()
                self._changed.notify_all()
            sets = [
                set_entry(
                    one,
                    self._files[one.key, "images"].standing,
                    {model.key: self._files[one.key, model.key].standing for model in one.models},
                )
                for one in self.target.sets.values()
            ]
        known = {"format": FORMAT, "kind": self.target.kind, "title": self.target.title, "version": __version__}
        return {**known, "live": True, "review": False, "references": False, "sets": sets}

    def path(self, url: str) -> Path | None:
        """The file at an address below the page, made where it can be; None where there is none (yet).

        Raises what making it raised.
        """
        folder, _, rest = url.partition("/")
        if folder != "data" or rest.rpartition(".")[2] not in ("json", "bin"):
            return None
        stem = rest.rpartition(".")[0]
        if stem.startswith(("classes-", "grid-")):
            return self._shared(stem)
        match stem.split("/"):
            case [key, "images"] if key in self.target.sets:
                return self._waited(key)
            case [key, model] if key in self.target.sets:
                with self._changed:
                    made = self._files.get((key, model))
                    return self._there(made) if made else None
            case [key, model, "answers", chunk] if key in self.target.sets and chunk.isdecimal():
                return self._answers(self.target.sets[key], model, int(chunk))
        return None

    def shows(self, version: str) -> bool:
        """Whether a version of a set's images or of a model is one that a page has from this server.

        The positions of another may be those of other images: of a set that was mined again before a restart, say.
        """
        return version in self._named

    def finish(self) -> None:
        """Wait until every file is there; raises what making one raised. For an export."""
        with self._changed:
            while any(made.name is None for made in self._files.values()):
                if error := next((made.error for made in self._files.values() if made.error), None):
                    raise error
                self._changed.wait(1)

    def _look(self) -> None:
        """See which files there should be. The lock is held, or nobody else is there yet."""
        self._looked = time.monotonic()
        if self._files:
            try:
                self.target.refresh()
            except SnellenError:  # a run.json that is being written, a store that cannot be reached: the next look
                return
        for one in self.target.sets.values():
            finished = [all(run.complete for run in model.runs.values()) for model in one.models]
            self._want(one, "images", images_version(one), all(finished))
            for model, last in zip(one.models, finished, strict=True):
                self._want(one, model.key, model_version(one, model), last)
            there = {"images", *(model.key for model in one.models)}
            for gone in [(key, what) for key, what in self._files if key == one.key and what not in there]:
                del self._files[gone]

    def _want(self, one: ViewSet, what: str, version: str, last: bool) -> None:
        made = self._files.setdefault((one.key, what), Made())
        made.last = last
        made.wanted = f"{'images' if what == 'images' else 'model'}-{version}.json"
        self._named.add(version)
        if made.name == made.wanted:
            return
        there = (self._folder / made.wanted).exists()
        if there and what == "images":
            try:
                one.index = read_index(self._index(made.wanted))
            except UNREADABLE:
                there = False
        if there:
            made.name, made.error = made.wanted, None

    def _index(self, name: str) -> Path:
        return self._folder / f"{Path(name).stem}.npz"

    def _waited(self, key: str) -> Path:
        made = self._files[key, "images"]
        with self._changed:
            until = time.monotonic() + PATIENCE_SECONDS
            while (path := self._there(made)) is None:
                if made.error is not None or self._closed or time.monotonic() > until:
                    raise made.error or EngineError("the list of images is still being made; try again")
                self._first = key
                self._changed.wait(1)
            return path

    def _there(self, made: Made) -> Path | None:
        """Where a file is; one that somebody has removed is made again."""
        if made.name is None:
            return None
        path = self._folder / made.name
        if path.exists():
            return path
        made.name = None
        self._changed.notify_all()
        return None

    def _shared(self, stem: str) -> Path | None:
        """The file of a class space or of a grid, which several sets may have."""
        for one in list(self.target.sets.values()):
            if stem == f"classes-{one.space_key}":
                return self._written(stem, classes_record(one.space_key, one.space))
            for model in one.models:
                key, rules = grid_entry(model.run.grid)
                if stem == f"grid-{key}":
                    return self._written(stem, rules)
        return None

    def _written(self, stem: str, plain: object) -> Path:
        path = self._folder / f"{stem}-{digest(plain)}.json"
        if not path.exists():
            write_atomic(path, json.dumps(plain, ensure_ascii=False).encode())
        return path

    def _answers(self, one: ViewSet, key: str, chunk: int) -> Path | None:
        model = next((model for model in one.models if model.key == key), None)
        index = one.index
        if model is None or index is None or chunk * CHUNK >= len(index):
            return None
        parts = parts_of(model, index, chunk)
        name = chunk_name(model, index, chunk, parts)
        path = self._folder / "answers" / name[:2] / f"{name}.bin"
        if not path.exists():
            with self._reading:  # one file of a run in memory at a time
                data = chunk_bytes(model, index, chunk, parts)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(path, data)
        return path

    def _work(self) -> None:
        while True:
            with self._changed:
                if self._closed:
                    return
                todo = self._next()
                if todo is None:
                    self._changed.wait(LOOK)
                    continue
                key, what = todo
                one, made = self.target.sets[key], self._files[todo]
                name, job = made.wanted, self._job(one, what, made.wanted)
            start = time.monotonic()
            error = self._run(job)
            with self._changed:
                made.done(name, time.monotonic() - start, error)
                if error is None and what == "images":
                    one.index = read_index(self._index(name))
                for old in made.outdated():
                    (self._folder / old).unlink(missing_ok=True)
                    self._index(old).unlink(missing_ok=True)
                self._changed.notify_all()

    def _next(self) -> tuple[str, str] | None:
        """Images before models; and of images those that a page waits for."""
        due = [key for key, made in self._files.items() if made.due]
        ready = [(k, w) for k, w in due if w == "images" or self._files[k, "images"].name]
        return min(ready, key=lambda key: (key[1] != "images", key[0] != self._first), default=None)

    def _job(self, one: ViewSet, what: str, name: str) -> dict[str, Any]:
        images = self._files[one.key, "images"]
        index = self._index(name if what == "images" else str(images.name))
        paths = {"path": str(self._folder / name), "index": str(index), "pieces": str(self._folder / "pieces")}
        return {"set": one.job, "what": what, **paths}

    def _run(self, job: Mapping[str, Any]) -> SnellenError | None:
        """Have a child process do a job; the error that it ended with."""
        command = child_command("snellen.web.jobs")
        with self._changed:
            if self._closed:
                return EngineError("closed")
            pipe = subprocess.PIPE
            self._child = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, encoding="utf-8")
        with self._child as child:
            answer, _ = child.communicate(json.dumps(job) + "\n")
        said = json.loads(answer.splitlines()[-1]) if answer.strip() else {}
        if said.get("event") == "done":
            return None
        what = "the images" if job["what"] == "images" else "the answers of a model"
        return EngineError(said.get("message") or f"the process that reads {what} died")
