"""The worker of a GPU: decode processes feed it, and views are cut, gathered and answered on the device.

Decoding, the way to the device, cutting and computing overlap: images are decoded ahead, work is queued on the device
without waiting for it, and logits are taken home only when more is queued behind them.
"""

import weakref
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from snellen.classifiers import Prepared
from snellen.datasets import DataSet
from snellen.engine.batches import full_batches
from snellen.engine.decoders import DecodePool
from snellen.engine.decoding import Decoded
from snellen.engine.local import cores
from snellen.engine.samples import sample_row
from snellen.engine.worker import Counted, Progress, Task, Worker
from snellen.errors import EngineError
from snellen.labels import ClassMap
from snellen.places import place
from snellen.zoom.grid import Grid
from snellen.zoom.render_gpu import cut

# Decode processes at most: each takes some 100 MB, and 8 keep up with 25 photographs of 8 million pixels a second.
DECODERS = 16
# Images that are decoded, or being decoded, ahead of the device, for each decode process.
DECODED = 2
# Batches that are queued on the device behind the one whose logits are taken home.
QUEUED = 2


@dataclass
class _OnDevice:
    """A classifier that `full_batches` asks with tensors on its device, and that answers so, without waiting."""

    classifier: Any

    def logits(self, views: Any) -> Any:
        return self.classifier.logits_on_device(views)


@dataclass
class GpuWorker(Worker):
    """Everything a shard needs, loaded once; `classifier` is one that has `logits_on_device`, as PyTorch's have.

    device: where it computes.
    decoders: how many decode processes.
    stream: whether they read files of the Hub by ranges, see `open_dataset`.
    """

    device: str = "cuda"
    decoders: int = 1
    stream: bool = False

    def run(self, task: Task, progress: Progress) -> bool:
        """Do one task; True if its shard is committed by this call."""
        try:
            return super().run(task, progress)
        except torch.OutOfMemoryError as error:
            raise EngineError(
                f"{self.device} has too little memory for batches of {self.batch_size} views; "
                "choose a smaller --batch-size"
            ) from error

    def _logits(
        self, task: Task, samples: list[dict[str, Any]], progress: Progress
    ) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """Each readable image's number and logits; every image leaves its row in `samples`."""
        counted, size = Counted(self.classifier, progress), self.grid.size
        batch = torch.empty((self.batch_size, size, size, 3), dtype=torch.uint8, device=self.device)
        source: Iterator[Any] = self._on_device(task, samples)
        shown: Iterator[Any] = full_batches(_OnDevice(self.classifier), self.batch_size, size, source, batch, torch.cat)
        for image, logits in _taken_home(shown, QUEUED * self.batch_size):
            counted.add(len(logits))
            yield image, logits
        counted.tell()

    def _on_device(self, task: Task, samples: list[dict[str, Any]]) -> Iterator[tuple[int, torch.Tensor]]:
        for decoded in self._decoded(task):
            samples.append(decoded.row)
            if decoded.arrays:
                yield decoded.row["image"], self._views_of(decoded)

    def _decoded(self, task: Task) -> Iterator[Decoded]:
        """The task's images in order, decoded ahead."""
        ahead: deque[Decoded | Future[Decoded]] = deque()
        try:
            for image in range(task.start, task.stop):
                row, why = sample_row(self.dataset, image), task.skip.get(image)
                ahead.append(Decoded(row | {"error": why}, None, []) if why else self._pool.submit(row))
                if len(ahead) > DECODED * self.decoders:
                    yield _settled(ahead.popleft())
            while ahead:
                yield _settled(ahead.popleft())
        finally:
            for waiting in ahead:
                if isinstance(waiting, Future):
                    waiting.cancel()

    @cached_property
    def _pool(self) -> DecodePool:
        images, grid = self.dataset.fingerprint, self.grid.to_json()
        job = {"data": self.dataset.spec, "images": images, "stream": self.stream, "grid": grid}
        pool = DecodePool(job, self.decoders, self.dataset if self.dataset.in_order else None)
        weakref.finalize(self, pool.close)
        return pool

    @cached_property
    def _side(self) -> "torch.cuda.Stream | None":
        """Where pixels are sent and cut while the network computes; None where there are no streams."""
        cuda = torch.device(self.device).type == "cuda"
        return torch.cuda.Stream(self.device) if cuda else None  # type: ignore[no-untyped-call]

    def _views_of(self, decoded: Decoded) -> torch.Tensor:
        """An image's views on the device, as the network's stream sees them."""
        beside: AbstractContextManager[object] = torch.cuda.stream(self._side) if self._side else nullcontext()
        with beside:
            arrays = [self._sent(array) for array in decoded.arrays]
            views = cut(arrays[0], decoded.bands, arrays[1]) if decoded.bands else arrays[0]
        if self._side:
            current = torch.cuda.current_stream(self.device)
            current.wait_stream(self._side)
            views.record_stream(current)  # its memory is the side stream's: not free before this one has read it
        return views

    def _sent(self, array: NDArray[Any]) -> torch.Tensor:
        tensor = torch.from_numpy(array)
        return tensor.pin_memory().to(self.device, non_blocking=True) if self._side else tensor


def _settled(decoded: "Decoded | Future[Decoded]") -> Decoded:
    return decoded.result() if isinstance(decoded, Future) else decoded


def _taken_home(shown: Iterator[tuple[int, torch.Tensor]], queued: int) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Each image's logits, waited for only when more than `queued` views are queued behind them."""
    coming: deque[tuple[int, torch.Tensor, torch.cuda.Event | None]] = deque()
    held = 0
    for image, logits in shown:
        home = logits.to("cpu", non_blocking=True)
        event = torch.cuda.current_stream(logits.device).record_event() if logits.is_cuda else None
        coming.append((image, home, event))
        held += len(home)
        while held - len(coming[0][1]) > queued:
            held -= len(coming[0][1])
            yield _arrived(*coming.popleft())
    while coming:
        yield _arrived(*coming.popleft())


def _arrived(image: int, home: torch.Tensor, event: "torch.cuda.Event | None") -> tuple[int, NDArray[np.float32]]:
    if event:
        event.synchronize()
    return image, home.numpy()


def load_gpu_worker(
    job: Mapping[str, Any], prepared: Prepared, dataset: DataSet, grid: Grid, classes: ClassMap | None
) -> GpuWorker:
    """The worker of a job on a GPU, with its share of the cores that it may use as decode processes.

    `sharing` of the job: how many workers these cores are for, 1 where it does not say.
    """
    return GpuWorker(
        place(job["run"]),
        dataset,
        prepared.classifier(),
        grid,
        prepared.batch_size,
        job["keep_probs"],
        classes,
        device=prepared.device,
        decoders=max(1, min(DECODERS, len(cores()) // job.get("sharing", 1))),
        stream=job.get("stream", False),
    )
