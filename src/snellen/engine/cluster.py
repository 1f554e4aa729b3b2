"""A connection to a Ray cluster, or one that is started on this machine, for as long as there is work."""

import contextlib
import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator
from typing import Any, cast

import ray

from snellen.engine.local import cores
from snellen.errors import UsageError

# Seconds to reach a cluster.
REACH = 10.0
# Bytes for objects on a machine where Ray is started: only lines of JSON are passed, but Ray wants 75 MiB at least.
STORE = 100_000_000


@contextlib.contextmanager
def connected(address: str | None, workers: int | None, device: str = "cpu") -> Iterator[None]:
    """Connected to a cluster, see `connect`; a connection that was there before stays, and another is ended."""
    mine = connect(address, workers, device)
    try:
        yield
    finally:
        if mine:
            with _sigterm_kept():
                ray.shutdown()


def connect(address: str | None, workers: int | None, device: str = "cpu") -> bool:
    """Connect to the cluster at `address` or RAY_ADDRESS, or start one on this machine; False if this process is so.

    workers: how many are asked for; a cluster that is started here has place for them.
    Raises UsageError where there is no cluster, and for a device that is one GPU of one machine.
    """
    if device.startswith("cuda:"):
        raise UsageError(f"--device {device} is a GPU of one machine; with --engine ray give cuda, and --workers N")
    if ray.is_initialized():
        here = ray.get_runtime_context().gcs_address
        if address not in (None, "auto", here):
            raise UsageError(f"--ray-address {address}: this process is connected to {here}; call ray.shutdown() first")
        return False
    address = address or os.environ.get("RAY_ADDRESS") or "local"
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nobody asked for reports to Ray's makers
    started: dict[str, Any] = {"num_cpus": max(len(cores()), workers or 0), "object_store_memory": STORE}
    try:
        host, _, port = address.partition(":")
        if port.isdecimal():  # Ray itself goes on trying for minutes
            socket.create_connection((host, int(port)), REACH).close()
        with _sigterm_kept():
            ray.init(
                address,
                namespace="snellen",
                log_to_driver=False,
                logging_level=logging.ERROR,
                **(started | {"include_dashboard": False} if address == "local" else {}),
            )
    except (OSError, RuntimeError, ValueError) as error:
        raise UsageError(
            f"no Ray cluster at {address!r}: {error}; start one with `ray start`, or give its address"
        ) from error
    return True


@contextlib.contextmanager
def _sigterm_kept() -> Iterator[None]:
    """Whatever SIGTERM means to this process, it means again afterwards.

    `ray.init` makes it an exit, for good. `ray.shutdown` has the system end the process by it, without telling Python.
    """
    before = signal.getsignal(signal.SIGTERM)
    ours = threading.current_thread() is threading.main_thread() and before is not None
    try:
        yield
    except SystemExit:  # what Ray makes of one that comes just then
        if ours:
            signal.signal(signal.SIGTERM, before)
            signal.raise_signal(signal.SIGTERM)
        raise
    finally:
        if ours:
            signal.signal(signal.SIGTERM, before)


def capacity(device: str) -> int:
    """How many workers the cluster has place for: one on each of its cores or GPUs."""
    kind = "GPU" if device.startswith("cuda") else "CPU"
    there = int(cast(Any, ray).cluster_resources().get(kind, 0))
    if not there:
        raise UsageError(f"the Ray cluster has no {kind}; give --workers N to wait for them, or another --device")
    return there
