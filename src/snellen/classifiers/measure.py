"""How fast prepared models are here: processes as a study would use them, pinned, all at the same thing.

A measuring process (`serve`) holds several models and is told by JSON lines which to run and for how long.
"""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snellen.classifiers.base import Classifier
from snellen.classifiers.prepared import Prepared
from snellen.errors import EngineError, ModelError, SnellenError

# Batch sizes that are tried. Small ones keep the activations in a core's cache; 36 is a scale's nine views, four
# scales at once. A GPU wants whole images, of 324 views each.
BATCHES = {"cpu": (2, 4, 9, 36), "cuda": (36, 108, 324, 972)}
# Of compiled PyTorch: each is compiled for itself, which takes a while.
COMPILED_BATCHES = {"cpu": (4, 36), "cuda": (108, 324)}
SECONDS, ROUNDS = 0.3, 3


class Measurers:
    """Processes that measure together; `candidates` are counted from 0 as they are loaded, without those that fail."""

    def __init__(self, handles: "Sequence[subprocess.Popen[str]]", folder: Path) -> None:
        self._handles, self._folder = handles, folder
        self.candidates = 0

    def load(self, prepared: Prepared) -> int:
        """Load a model in every process, with a first batch; ModelError where it cannot run.

        The first process is ahead of the others, which find in the cache what it had to compile.
        """
        request = {"load": prepared.to_json(), "as": self.candidates}
        for handles in (self._handles[:1], self._handles[1:]):
            self._ask(handles, request)
        self.candidates += 1
        return self.candidates - 1

    def clear(self) -> None:
        """Forget all models."""
        self._ask(self._handles, {"clear": True})
        self.candidates = 0

    def rate(self, candidate: int, seconds: float) -> float:
        """Views a second of all processes together, each at the same candidate for so long."""
        return float(sum(self._ask(self._handles, {"rate": candidate, "seconds": seconds})))

    def logits(self, candidate: int, views: NDArray[np.uint8]) -> NDArray[np.float32]:
        """A candidate's logits of views, batch by batch, from the first process."""
        file, answer = self._folder / "views.npy", self._folder / "logits.npy"
        np.save(file, views)
        self._ask(self._handles[:1], {"logits": candidate, "views": str(file), "to": str(answer)})
        found: NDArray[np.float32] = np.load(answer)
        return found

    def _ask(self, handles: "Sequence[subprocess.Popen[str]]", request: dict[str, Any]) -> list[Any]:
        for handle in handles:
            assert handle.stdin is not None
            with contextlib.suppress(BrokenPipeError):  # it is dead; the end of its output says so next
                handle.stdin.write(json.dumps(request) + "\n")
                handle.stdin.flush()
        answers = [self._answer(handle) for handle in handles]
        for answer in answers:
            if "error" in answer:
                raise ModelError(answer["error"])
        return [answer.get("value") for answer in answers]

    def _answer(self, handle: "subprocess.Popen[str]") -> dict[str, Any]:
        assert handle.stdout is not None
        line = handle.stdout.readline()
        if not line:
            last = (self._folder / "log").read_text(errors="replace").strip()[-2000:]
            raise EngineError(f"a measuring process ended (exit {handle.wait()}):\n{last}")
        answer: dict[str, Any] = json.loads(line)
        return answer


@contextlib.contextmanager
def measurers(workers: int, device: str) -> Iterator[Measurers]:
    """As many measuring processes, on the last cores that this process may use, or each on a GPU."""
    cores = sorted(os.sched_getaffinity(0))[-workers:] if device == "cpu" else []
    handles: list[subprocess.Popen[str]] = []
    with tempfile.TemporaryDirectory(prefix="snellen-") as folder:
        try:
            for number in range(workers):
                core = cores[number] if number < len(cores) else None
                place = f"cuda:{number}" if device == "cuda" else device
                handles.append(_start(core, place, Path(folder)))
            yield Measurers(handles, Path(folder))
        finally:
            for handle in handles:
                handle.kill()
                handle.communicate()


def batches_of(prepared: Prepared) -> tuple[int, ...]:
    """The batch sizes that are tried for a model on its backend."""
    sizes = COMPILED_BATCHES if prepared.backend == "torch-compile" else BATCHES
    return sizes[prepared.device.split(":")[0]]


def in_turn(
    candidates: Sequence[int], measured: Callable[[int], float], rounds: int = ROUNDS
) -> dict[int, list[float]]:
    """Each candidate's rate in every round; they take turns, so that what else the machine does hits all alike."""
    rates: dict[int, list[float]] = {candidate: [] for candidate in candidates}
    for _ in range(rounds):
        for candidate in candidates:
            rates[candidate].append(measured(candidate))
    return rates


def tuned(prepared: Prepared) -> dict[str, float]:
    """The batch size with the highest rate on one core, and that rate in views a second.

    Each is judged by its best round: other work on the machine only ever slows one down.
    """
    batches = batches_of(prepared)
    with measurers(1, "cpu") as processes:
        for batch in batches:
            processes.load(prepared.with_batch(batch))
        rates = in_turn(range(len(batches)), lambda k: processes.rate(k, SECONDS))
    best = max(range(len(batches)), key=lambda k: max(rates[k]))
    return {"batch_size": batches[best], "views_per_s": max(rates[best])}


def _start(core: int | None, device: str, folder: Path) -> "subprocess.Popen[str]":
    threads = {} if core is None else dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    with (folder / "log").open("a") as log:
        handle = subprocess.Popen(
            [sys.executable, "-P", "-c", "from snellen.classifiers.measure import serve; serve()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=os.environ | threads,
        )
    assert handle.stdin is not None
    handle.stdin.write(json.dumps({"core": core, "device": device}) + "\n")
    handle.stdin.flush()
    return handle


def serve() -> None:
    """Load and run models as told, until standard input ends; a model that cannot run is answered with its `error`.

    Libraries raise many kinds of it, memory of a device that is short among them; the log has all of what they said.
    """
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print goes to the log
    place = json.loads(sys.stdin.readline())
    if place["core"] is not None:
        os.sched_setaffinity(0, {place["core"]})
    held: dict[int, tuple[Classifier, NDArray[np.uint8]]] = {}
    for line in sys.stdin:
        try:
            answer: dict[str, Any] = {"value": _answer(json.loads(line), held, place["device"])}
        except SnellenError as error:
            answer = {"error": str(error)}
        except Exception as error:
            traceback.print_exception(error)
            answer = {"error": f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"}
        print(json.dumps(answer), file=answers, flush=True)


def _answer(
    request: dict[str, Any], held: dict[int, tuple[Classifier, NDArray[np.uint8]]], device: str
) -> float | None:
    if "clear" in request:
        held.clear()
    elif "load" in request:
        prepared = Prepared.from_json(request["load"] | {"device": device})
        size = prepared.card.view_size
        views = np.random.default_rng(0).integers(0, 256, (prepared.batch_size, size, size, 3), np.uint8)
        classifier = prepared.classifier()
        classifier.logits(views)
        held[request["as"]] = classifier, views
    elif "rate" in request:
        classifier, views = held[request["rate"]]
        return _rate(classifier, views, request["seconds"])
    else:
        classifier, batch = held[request["logits"]]
        views = np.load(request["views"])
        parts = [classifier.logits(views[k : k + len(batch)]) for k in range(0, len(views), len(batch))]
        np.save(request["to"], np.concatenate(parts))
    return None


def _rate(classifier: Classifier, views: NDArray[np.uint8], seconds: float) -> float:
    """Views a second of whole batches, for at least so long and at least one."""
    classifier.logits(views)
    done, start = 0, time.perf_counter()
    while (passed := time.perf_counter() - start) < seconds or not done:
        classifier.logits(views)
        done += len(views)
    return done / passed
