"""The backends: what each of them can run, and what it lacks here. Imports none of them."""

import os
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

from snellen.errors import ModelError

# What each backend can run: devices, precisions.
ABLE = {
    "openvino": (("cpu",), ("fp32", "bf16", "fp16", "int8")),
    "onnxruntime": (("cpu",), ("fp32",)),
    "torch": (("cpu", "cuda"), ("fp32", "bf16", "fp16")),
    "torch-compile": (("cpu", "cuda"), ("fp32", "bf16", "fp16")),
}
BACKENDS = tuple(ABLE)
PRECISIONS = ("fp32", "bf16", "fp16", "int8")
# Those that run a converted network, which has no gradients and no torch module in it.
CONVERTED = ("openvino", "onnxruntime")


def check_running(precision: str = "fp32", backend: str = "auto", device: str = "auto") -> tuple[str, str]:
    """The backend and the device that these options mean, where nothing was measured; needs no model and no torch.

    Raises ModelError for a name that is none, for what does not go together, and for what is not installed.
    """
    if precision not in PRECISIONS:
        raise ModelError(f"unknown precision {precision!r}; expected {', '.join(PRECISIONS)}")
    if backend not in ("auto", *BACKENDS):
        raise ModelError(f"unknown backend {backend!r}; expected auto, {', '.join(BACKENDS)}")
    if device == "auto":
        on_gpu = any("cuda" in devices and precision in known for devices, known in _candidates(backend))
        device = "cuda" if on_gpu and has_gpu() else "cpu"
    kind = device.split(":")[0]
    if kind not in ("cpu", "cuda"):
        raise ModelError(f"unknown device {device!r}; expected auto, cpu, cuda or cuda:N")
    if backend == "auto":
        return _default(precision, kind), device
    devices, precisions = ABLE[backend]
    if kind not in devices:
        raise ModelError(f"the {backend} backend runs on the CPU; use --backend torch or torch-compile on a GPU")
    if precision not in precisions:
        able = [name for name, (_, known) in ABLE.items() if precision in known]
        raise ModelError(
            f"the {backend} backend runs {', '.join(precisions)}, not {precision}; that is for {', '.join(able)}"
        )
    lacks = lacking(backend, precision, kind)
    if lacks:
        raise ModelError(lacks)
    return backend, device


def lacking(backend: str, precision: str, kind: str) -> str | None:
    """What a backend would need here to run at all on a kind of device (`cpu`, `cuda`); None where it lacks nothing."""
    if precision == "int8" and find_spec("nncf") is None:
        return "--precision int8 needs NNCF, which is not installed: pip install 'snellen[int8]'"
    if backend == "onnxruntime" and not all(find_spec(package) for package in ("onnxruntime", "onnxscript")):
        return "the onnxruntime backend needs ONNX Runtime, which is not installed: pip install 'snellen[onnx]'"
    if backend == "torch-compile" and kind == "cpu" and not _found("CXX", "clang++" if _MAC else "g++"):
        return "the torch-compile backend needs a C++ compiler on a CPU: install g++, or name one in CXX"
    if backend == "torch-compile" and kind == "cuda" and not (find_spec("triton") and _found("CC", "gcc", "clang")):
        return "the torch-compile backend needs Triton and a C compiler on a GPU: install gcc, or name one in CC"
    return None


def has_gpu() -> bool:
    """Whether there is an NVIDIA driver; torch is not imported for it."""
    return Path("/dev/nvidiactl").exists()


_MAC = sys.platform == "darwin"


def _found(variable: str, *compilers: str) -> bool:
    """Whether a compiler is here: the one that `variable` names, as PyTorch and Triton read it, or any of those."""
    chosen = os.environ.get(variable)
    return any(shutil.which(name) for name in ([chosen] if chosen else compilers))


def _candidates(backend: str) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
    return list(ABLE.values()) if backend == "auto" else [ABLE[backend]]


def _default(precision: str, kind: str) -> str:
    """What `auto` means where nothing was measured: OpenVINO on a CPU, compiled PyTorch on a GPU if it can be."""
    on_gpu = "torch" if lacking("torch-compile", precision, kind) else "torch-compile"
    choice = "openvino" if kind == "cpu" else on_gpu
    if precision not in ABLE[choice][1]:
        raise ModelError(f"{precision} runs on the CPU only; leave --device out")
    lacks = lacking(choice, precision, kind)
    if lacks:
        raise ModelError(lacks)
    return choice
