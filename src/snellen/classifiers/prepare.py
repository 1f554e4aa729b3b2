"""From a spec to a model that workers can run: cached, and without importing torch when the cache has it."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snellen.atomic import write_atomic
from snellen.classifiers.base import Classifier, ModelCard
from snellen.classifiers.prompts import FILE_OPTIONS, option_key
from snellen.classifiers.spec import ModelSpec, parse_spec
from snellen.classifiers.weights import cache_root, stored_sha256
from snellen.errors import EngineError, ModelError
from snellen.labels import ClassMap

if TYPE_CHECKING:
    import torch

BACKENDS = ("openvino", "torch")
PRECISIONS = ("fp32", "bf16", "fp16")
# Counts up when what a cached entry holds, or how it is made, changes.
ENTRY_FORMAT = 3
# Batch size and views a second of one worker where nothing was measured; they only size batches and shards.
UNTUNED = {"cpu": (36, 30.0), "cuda": (324, 3000.0)}


@dataclass(frozen=True)
class Prepared:
    """A model ready to run. `network` is set for one given as an object and run by PyTorch in this process."""

    text: str
    card: ModelCard
    backend: str
    device: str
    precision: str
    batch_size: int
    views_per_s: float
    options: dict[str, Any]
    entry: Path | None = None
    network: "torch.nn.Module | None" = None

    def with_batch(self, batch_size: int) -> "Prepared":
        """The same model in batches of `batch_size` views."""
        return replace(self, batch_size=batch_size)

    @property
    def generative(self) -> bool:
        """Whether it answers in words, and gives no logits."""
        return False

    def within(self, classes: ClassMap | None) -> "Prepared":
        """The model as it is used on a data set of these classes: logits are masked later, so it is the same."""
        return self

    def classifier(self) -> Classifier:
        """Load the model here, in this process."""
        if self.backend == "openvino":
            from snellen.classifiers.backend_openvino import OpenVinoClassifier

            assert self.entry is not None
            text = "" if self.text.startswith("module/") else self.text
            return OpenVinoClassifier(self.entry / "model.xml", self.precision, self.batch_size, text=text)
        from snellen.classifiers.backend_torch import TorchClassifier

        network = self.network
        if network is None:
            from snellen.classifiers.sources import load

            network = load(parse_spec(self.text)).module
        return TorchClassifier(network, self.card, self.device, self.precision)

    def to_json(self) -> dict[str, Any]:
        """What a worker process needs to load the same model."""
        return {
            "text": self.text,
            "card": self.card.to_json(),
            "backend": self.backend,
            "device": self.device,
            "precision": self.precision,
            "batch_size": self.batch_size,
            "views_per_s": self.views_per_s,
            "options": {key: str(value) for key, value in self.options.items()},
            "entry": str(self.entry) if self.entry else None,
        }

    @staticmethod
    def from_json(record: dict[str, Any]) -> "Prepared":
        """The model that `to_json` described."""
        entry = Path(record["entry"]) if record["entry"] else None
        return Prepared(**(record | {"card": ModelCard.from_json(record["card"]), "entry": entry}))


def prepare(
    model: "str | torch.nn.Module",
    *,
    precision: str = "fp32",
    backend: str = "auto",
    device: str = "auto",
    batch_size: int | None = None,
    mean: Sequence[float] | float | None = None,
    std: Sequence[float] | float | None = None,
    classes: Sequence[str] | None = None,
    name: str | None = None,
    own: bool = False,
) -> Prepared:
    """Make `model` ready for the study's views: a spec, or a torch module with its mean, std and class names.

    own: ready for views of the model's own evaluation transform instead, at its own size.
    Raises ModelError for anything that cannot be found, loaded, converted or run.
    """
    try:
        return _prepare(model, precision, backend, device, batch_size, mean, std, classes, name, own)
    except OSError as error:
        raise ModelError(
            f"the model cache {str(cache_root())!r} cannot be used: {error.strerror or error}; "
            "set SNELLEN_CACHE to a folder that can be written"
        ) from error


def _prepare(
    model: "str | torch.nn.Module",
    precision: str,
    backend: str,
    device: str,
    batch_size: int | None,
    mean: Sequence[float] | float | None,
    std: Sequence[float] | float | None,
    classes: Sequence[str] | None,
    name: str | None,
    own: bool,
) -> Prepared:
    if precision not in PRECISIONS:
        raise ModelError(f"unknown precision {precision!r}; expected {', '.join(PRECISIONS)}")
    backend, device = _choose(backend, device)
    convert = backend == "openvino"
    if isinstance(model, str):
        if mean is not None or std is not None or classes is not None:
            raise ModelError("mean, std and classes go with a module; with a spec, write ,mean=…,std=…,classes=FILE")
        spec = parse_spec(model)
        if spec.kind == "vlm":
            return _generative(spec, own)
        text, network = spec.text, None
        hashed = FILE_OPTIONS.get(spec.kind, ("classes",))  # the class space and the card's inputs say what is in them
        options = {key: value for key, value in spec.options.items() if key not in hashed}
        entry = _entry(spec, convert, own)
    else:
        text, options = f"module/{name or type(model).__name__}", {}
        network = None if convert else model
        entry = _entry_of_module(model, text, mean, std, classes, convert, own)
    card = ModelCard.from_json(json.loads((entry / "card.json").read_text()))
    if convert:
        tuned = _tuned(entry / "model.xml", precision)
    else:
        tuned = dict(zip(("batch_size", "views_per_s"), UNTUNED[device.split(":")[0]], strict=True))
    batch = batch_size or int(tuned["batch_size"])
    return Prepared(text, card, backend, device, precision, batch, tuned["views_per_s"], options, entry, network)


def _generative(spec: ModelSpec, own: bool) -> Prepared:
    from snellen.classifiers.vlm.prepare import prepare_vlm

    if not own:
        raise ModelError(
            f"{spec.text} answers in words and gives no logits: it has no zooms to study; use snellen eval"
        )
    return prepare_vlm(spec)


def _choose(backend: str, device: str) -> tuple[str, str]:
    """Resolve `auto`: a GPU runs PyTorch, a CPU OpenVINO. Looks for the driver only; torch is not imported."""
    if device == "auto":
        has_gpu = backend != "openvino" and Path("/dev/nvidiactl").exists()
        device = "cuda" if has_gpu else "cpu"
    if device.split(":")[0] not in UNTUNED:
        raise ModelError(f"unknown device {device!r}; expected auto, cpu, cuda or cuda:N")
    if backend == "auto":
        backend = "openvino" if device == "cpu" else "torch"
    if backend not in BACKENDS:
        raise ModelError(f"unknown backend {backend!r}; expected auto, {' or '.join(BACKENDS)}")
    if backend == "openvino" and device != "cpu":
        raise ModelError("the openvino backend runs on the CPU; use --backend torch on a GPU")
    return backend, device


def entry_path(spec: ModelSpec, weights: str, own: bool, convert: bool) -> Path:
    """The cache entry of a model: named by everything that decides what is in it."""
    from snellen.classifiers.sources import library_versions

    options = {option: option_key(spec.kind, option, value) for option, value in spec.options.items()}
    key = [ENTRY_FORMAT, spec.source, sorted(options.items()), weights, own, convert, library_versions(spec.kind)]
    return cache_root() / "models" / hashlib.sha256(json.dumps(key).encode()).hexdigest()[:24]


def _entry(spec: ModelSpec, convert: bool, own: bool) -> Path:
    file = _weights_file(spec)
    if file is not None:
        entry = entry_path(spec, stored_sha256(file), own, convert)
        if (entry / "card.json").exists():
            return entry
    request = {"spec": spec.text, "own": own, "convert": convert}
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
    from snellen.classifiers.sources import library_versions

    key = json.dumps([spec.source, spec.options.get("revision"), library_versions(spec.kind)])
    return cache_root() / "sources" / f"{hashlib.sha256(key.encode()).hexdigest()[:16]}.json"


def _entry_of_module(
    module: "torch.nn.Module",
    text: str,
    mean: Sequence[float] | float | None,
    std: Sequence[float] | float | None,
    classes: Sequence[str] | None,
    convert: bool,
    own: bool,
) -> Path:
    from snellen.classifiers.convert import build_entry, describe
    from snellen.classifiers.loaded import loaded_module

    loaded = loaded_module(module, mean, std, classes)
    card = describe(loaded, text, own)
    key = hashlib.sha256(json.dumps([ENTRY_FORMAT, card.to_json(), convert]).encode()).hexdigest()[:24]
    entry = cache_root() / "modules" / key
    build_entry(loaded, card, entry, convert)
    return entry


def _tuned(model: Path, precision: str) -> dict[str, Any]:
    memory = model.parent / f"tuned-{precision}.json"
    try:
        return dict(json.loads(memory.read_text()))
    except (OSError, ValueError):
        tuned = ask_child({"tune": str(model), "precision": precision}, "measuring the batch size")
        write_atomic(memory, json.dumps(tuned).encode())
        return tuned


def ask_child(request: dict[str, Any], what: str) -> dict[str, Any]:
    """Ask the child process that may import torch; its errors are raised here."""
    command = [sys.executable, "-P", "-c", "from snellen.classifiers.convert import serve; serve()"]
    done = subprocess.run(command, input=json.dumps(request), capture_output=True, text=True, check=False)
    if done.returncode or not done.stdout.strip():
        raise EngineError(f"{what} failed (exit {done.returncode}):\n{done.stderr.strip()[-2000:]}")
    answer: dict[str, Any] = json.loads(done.stdout)
    if "error" in answer:
        raise ModelError(answer["error"])
    return answer
