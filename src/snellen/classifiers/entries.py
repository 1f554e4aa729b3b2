"""Where a prepared model lies in the cache, and the child process that makes what is missing there."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from snellen.atomic import write_atomic
from snellen.classifiers.base import ModelCard
from snellen.classifiers.forms import Form
from snellen.classifiers.prompts import option_key
from snellen.classifiers.sources import library_versions
from snellen.classifiers.spec import ModelSpec
from snellen.classifiers.weights import stored_sha256
from snellen.errors import EngineError, ModelError, Stopped
from snellen.places import cache_root

# Counts up when what a cached entry holds, or how it is made, changes.
ENTRY_FORMAT = 4
# Options that decide a form of a model, and not the model.
OF_A_FORM = ("calibration",)


def entry_path(spec: ModelSpec, weights: str, own: bool) -> Path:
    """The cache entry of a model: named by everything that decides what its card says."""
    options = {k: option_key(spec.kind, k, value) for k, value in spec.options.items() if k not in OF_A_FORM}
    key = [ENTRY_FORMAT, spec.source, sorted(options.items()), weights, own, library_versions(spec.kind)]
    return cache_root() / "models" / hashlib.sha256(json.dumps(key).encode()).hexdigest()[:24]


def module_entry_path(card: ModelCard) -> Path:
    """The same of a module given as an object, whose card has a hash of all it holds."""
    key = json.dumps([ENTRY_FORMAT, card.to_json(), library_versions("file")])
    return cache_root() / "modules" / hashlib.sha256(key.encode()).hexdigest()[:24]


def read_card(entry: Path) -> ModelCard | None:
    """The card in an entry, None where there is none."""
    try:
        return ModelCard.from_json(json.loads((entry / "card.json").read_text()))
    except FileNotFoundError:
        return None


def entry_of(spec: ModelSpec, weights: str, own: bool) -> Path:
    """The entry of a model for the study's views, or for those of its own evaluation transform.

    Where it is known that these have one size, it is one entry.
    """
    entry = entry_path(spec, weights, own=False)
    card = read_card(entry) if own else None
    return entry_path(spec, weights, own=True) if own and not (card and card.view_size == card.own.size) else entry


def find_entry(spec: ModelSpec, own: bool) -> Path | None:
    """The entry of a model that was prepared before, where that is known without loading it."""
    file = _weights_file(spec)
    if file is None:
        return None
    entry = entry_of(spec, stored_sha256(file), own)
    return entry if (entry / "card.json").exists() else None


def make_entry(spec: ModelSpec, own: bool, form: Form | None) -> Path:
    """Have a child process load the model, and write what its entry lacks: the card, and a form of it."""
    request = {"spec": spec.text, "own": own, "form": form.to_json() if form else None}
    return Path(ask_child(request, f"preparing {spec.text}")["entry"])


def _weights_file(spec: ModelSpec) -> Path | None:
    """The weights file (a folder in the Hub's layout), where it is known without loading the model."""
    if spec.kind == "file":
        return None  # only running the function says what it loads
    if spec.path:
        return spec.path
    if spec.kind == "embedded":
        from snellen.classifiers.embedded import embedded_file

        return embedded_file(spec.name)
    try:
        path = Path(json.loads(_memory(spec).read_text())["path"])
    except (OSError, ValueError, KeyError):
        return None
    return path if path.exists() else None


def remember_file(spec: ModelSpec, file: Path) -> None:
    """Note which downloaded file holds a model's weights, so that the next command finds it without the library."""
    memory = _memory(spec)
    memory.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(memory, json.dumps({"path": str(file)}).encode())


def _memory(spec: ModelSpec) -> Path:
    key = json.dumps([spec.source, spec.options.get("revision"), library_versions(spec.kind)])
    return cache_root() / "sources" / f"{hashlib.sha256(key.encode()).hexdigest()[:16]}.json"


def ask_child(request: dict[str, Any], what: str) -> dict[str, Any]:
    """Ask the child process that may import torch; its errors are raised here."""
    command = [sys.executable, "-P", "-c", "from snellen.classifiers.convert import serve; serve()"]
    done = subprocess.run(command, input=json.dumps(request), capture_output=True, text=True, check=False)
    if done.returncode or not done.stdout.strip():
        raise EngineError(f"{what} failed (exit {done.returncode}):\n{done.stderr.strip()[-2000:]}")
    answer: dict[str, Any] = json.loads(done.stdout)
    if "error" in answer:
        raise (Stopped if answer.get("exit_code") == Stopped.exit_code else ModelError)(answer["error"])
    return answer
