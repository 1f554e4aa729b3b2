"""What was measured of a model on this machine, kept in its cache entry apart for each machine."""

import hashlib
import importlib.metadata
import json
import os
from functools import cache
from pathlib import Path
from typing import Any

from snellen.atomic import write_atomic

# What decides how fast a network runs here; a change of any of them asks for another measurement.
PACKAGES = ("torch", "openvino", "onnxruntime")


@cache
def host() -> dict[str, Any]:
    """This machine as measurements know it: its CPU, the cores this process may use, GPUs, versions of the backends.

    Nothing is imported for it; what is not installed has version None.
    """
    return {
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)),
        "gpus": _gpus(),
        **{name: _version(name) for name in PACKAGES},
    }


def recall(entry: Path, what: str) -> dict[str, Any] | None:
    """What was measured here under that name, or None."""
    try:
        found: dict[str, Any] = json.loads((_folder(entry) / f"{what}.json").read_text())
    except (OSError, ValueError):
        return None
    return found


def remember(entry: Path, what: str, measured: dict[str, Any]) -> None:
    """Keep what was measured here under a name."""
    folder = _folder(entry)
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(folder / "host.json", json.dumps(host(), indent=1).encode())
    write_atomic(folder / f"{what}.json", json.dumps(measured).encode())


def forget(entry: Path, what: str) -> None:
    """Keep no longer what was measured here under a name, if anything was."""
    (_folder(entry) / f"{what}.json").unlink(missing_ok=True)


def speed_name(precision: str, device: str, runs: str) -> str:
    """The name under which the best batch size of a backend, or of a form, is kept."""
    return f"speed-{runs}-{precision}-{device.split(':')[0]}"


def best_name(precision: str, device: str) -> str:
    """The name under which the best backend is kept."""
    return f"best-{precision}-{device.split(':')[0]}"


def _folder(entry: Path) -> Path:
    return entry / "hosts" / hashlib.sha256(json.dumps(host()).encode()).hexdigest()[:12]


def _cpu() -> str:
    """The CPU's name and model number, as Linux gives them."""
    wanted = ("model name", "cpu family", "model", "stepping")
    lines = (line.partition(":") for line in Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines())
    facts = {key.strip(): value.strip() for key, _, value in lines}
    return " ".join(facts[key] for key in wanted if key in facts)


def _gpus() -> list[str]:
    files = sorted(Path("/proc/driver/nvidia/gpus").glob("*/information"))
    lines = (line for file in files for line in file.read_text().splitlines())
    return [line.partition(":")[2].strip() for line in lines if line.startswith("Model:")]


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
