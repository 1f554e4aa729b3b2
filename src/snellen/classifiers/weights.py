"""Weights files: hashing them, reading them without running any code in them, fitting them to a network."""

import contextlib
import hashlib
import inspect
import json
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snellen.atomic import write_atomic
from snellen.errors import ModelError
from snellen.places import cache_root

if TYPE_CHECKING:
    import torch

# Keys under which training scripts keep the weights in a larger checkpoint.
WRAPPERS = ("state_dict", "model_state_dict", "model", "state_dict_ema", "model_ema", "params_ema", "params")


def file_sha256(path: Path) -> str:
    """sha256 of a file's bytes; remembered for as long as its path, size, inode and time of modification stay."""
    status = path.stat()
    stamp = [str(path), status.st_size, status.st_mtime_ns, status.st_ino]
    memory = cache_root() / "hashes" / f"{hashlib.sha256(str(path).encode()).hexdigest()[:16]}.json"
    try:
        known = json.loads(memory.read_text())
        if known["stamp"] == stamp:
            return str(known["sha256"])
    except (OSError, ValueError, KeyError):
        pass
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    memory.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(memory, json.dumps({"stamp": stamp, "sha256": digest}).encode())
    return digest


def stored_sha256(path: Path) -> str:
    """sha256 of a weights file; of a folder in the Hub's layout, over all that transformers reads in it, by name."""
    if not path.is_dir():
        return file_sha256(path)
    lines = (f"{file.name} {file_sha256(file)}\n" for file in hub_files(path))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def hub_files(folder: Path) -> list[Path]:
    """The files of a model in the Hub's layout that decide what it computes, sorted: settings, vocabulary, weights.

    PyTorch's own files count only where there are no safetensors.
    """
    settings = [file for file in folder.iterdir() if file.suffix in (".json", ".txt", ".model")]
    weights = list(folder.glob("*.safetensors")) or list(folder.glob("*.bin"))
    return sorted(settings + weights)


def read_weights(path: Path) -> dict[str, "torch.Tensor"]:
    """The tensors in a safetensors or PyTorch file; no code in the file is run.

    Raises ModelError for a file that is neither, or that holds more than tensors and plain values.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    loaded: Any
    if path.suffix == ".safetensors":
        try:
            loaded = load_file(path)
        except (SafetensorError, OSError) as error:
            raise ModelError(f"{str(path)!r} is not a safetensors file: {error}") from error
    else:
        try:
            loaded = torch.load(path, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError as error:
            raise ModelError(
                f"{str(path)!r} is refused: it is a pickle of more than plain weights, or damaged; "
                "save the state dict alone, best as .safetensors"
            ) from error
        except (OSError, RuntimeError, EOFError, ValueError, KeyError) as error:
            raise ModelError(f"{str(path)!r} is not a PyTorch weights file: {str(error).splitlines()[0]}") from error
    for key in WRAPPERS:
        if isinstance(loaded, Mapping) and isinstance(loaded.get(key), Mapping):
            loaded = loaded[key]
            break
    if not isinstance(loaded, Mapping) or not all(isinstance(v, torch.Tensor) for v in loaded.values()):
        raise ModelError(f"{str(path)!r} holds no state dict: expected a mapping of names to tensors")
    prefix = "module." if loaded and all(key.startswith("module.") for key in loaded) else ""
    return {key.removeprefix(prefix): tensor for key, tensor in loaded.items()}


def fit_weights(module: "torch.nn.Module", weights: Mapping[str, "torch.Tensor"], path: Path) -> None:
    """Load `weights` into `module`, every entry; ModelError says which entries do not fit."""
    own = {k: v.shape for k, v in module.state_dict().items()}
    optional = {k for k in own if k.endswith("num_batches_tracked")}
    missing = [k for k in own if k not in weights and k not in optional]
    extra = [k for k in weights if k not in own and not k.endswith("num_batches_tracked")]
    other = [
        f"{k} {list(weights[k].shape)} ≠ {list(own[k])}" for k in own if k in weights and weights[k].shape != own[k]
    ]
    found = [("missing", missing), ("unexpected", extra), ("of another shape", other)]
    if any(entries for _, entries in found):
        raise ModelError(
            f"checkpoint {path.name!r} does not fit the network: "
            + "; ".join(f"{len(entries)} {what} ({_some(entries)})" for what, entries in found if entries)
        )
    module.load_state_dict({k: v for k, v in weights.items() if k in own}, strict=False)


def fit_weights_in_order(module: "torch.nn.Module", weights: Mapping[str, "torch.Tensor"], path: Path) -> None:
    """Load weights whose names differ but whose entries stand in the same order."""
    own = module.state_dict()
    if len(own) != len(weights):
        raise ModelError(f"checkpoint {path.name!r} has {len(weights)} entries, the network {len(own)}")
    fit_weights(module, dict(zip(own, weights.values(), strict=True)), path)


def module_sha256(module: "torch.nn.Module") -> str:
    """sha256 over a network's structure, the source of its classes, and everything in its state dict."""
    import torch

    digest = hashlib.sha256(str(module).encode())
    for kind in dict.fromkeys(type(part) for part in module.modules()):
        digest.update(f"{kind.__module__}.{kind.__qualname__}\n".encode())
        if not kind.__module__.startswith("torch."):
            with contextlib.suppress(OSError, TypeError):  # typed at a prompt, or built in: no source to read
                digest.update(inspect.getsource(kind).encode())
    for key, tensor in module.state_dict().items():
        plain = tensor.detach().cpu().contiguous()
        digest.update(f"{key} {plain.dtype} {tuple(plain.shape)}\n".encode())
        digest.update(plain.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _some(entries: list[str]) -> str:
    return ", ".join(entries[:3]) + (", …" if len(entries) > 3 else "")
