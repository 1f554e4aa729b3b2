"""The models there are: what their libraries publish, listed once for their versions and then from the cache."""

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from snellen.atomic import write_atomic
from snellen.classifiers.embedded import EMBEDDED, embedded_file
from snellen.classifiers.sources import library_versions
from snellen.errors import ModelError
from snellen.places import cache_root

# Files that hold the weights of a repository on the Hub, in the order in which they are looked for.
HUB_FILES = ("model.safetensors", "pytorch_model.bin", "open_clip_model.safetensors", "open_clip_pytorch_model.bin")


@dataclass(frozen=True)
class ModelRow:
    """One model with published weights.

    size: side of its own view in pixels, 0 where it is not stated.
    classes: what its logits stand for: `imagenet-1k`, a number of classes, or `zero-shot`.
    source: the package, the repository on the Hub or the address that its weights come from.
    """

    name: str
    size: int
    classes: str
    licence: str
    source: str

    @property
    def cached(self) -> bool:
        """Whether its weights are on this machine."""
        if self.name.startswith("embedded/"):
            try:
                return embedded_file(self.name.partition("/")[2]).is_file()
            except ModelError:
                return False
        if self.source.startswith("http"):
            return (_torch_home() / "hub" / "checkpoints" / self.source.rpartition("/")[2]).is_file()
        if self.source.count("/") != 1:  # none stated
            return False
        from huggingface_hub import try_to_load_from_cache

        return any(isinstance(try_to_load_from_cache(self.source, file), str) for file in HUB_FILES)


def _torch_home() -> Path:
    """Where torch keeps downloaded weights (torch/hub.py), found without importing it."""
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(os.environ.get("TORCH_HOME") or f"{base}/torch").expanduser()


def model_rows() -> list[ModelRow]:
    """Every model with published weights, by library; from a child process the first time, then from the cache."""
    from snellen.classifiers.entries import ask_child

    versions = [library_versions(kind) for kind in ("timm", "torchvision", "open_clip")]
    memory = cache_root() / f"models-{hashlib.sha256(json.dumps(versions).encode()).hexdigest()[:16]}.json"
    try:
        return [ModelRow(**row) for row in json.loads(memory.read_text())]
    except (OSError, ValueError, TypeError):
        rows = list(ask_child({"list": True}, "listing models")["models"])
        memory.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(memory, json.dumps(rows).encode())
        return [ModelRow(**row) for row in rows]


def model_names() -> list[str]:
    """Specs of the models that need no file."""
    return [row.name for row in model_rows()]


def library_models() -> list[dict[str, object]]:
    """The same from the libraries themselves, which are imported."""
    return [asdict(row) for source in (_embedded, _timm, _torchvision, _open_clip) for row in source()]


def _embedded() -> Iterator[ModelRow]:
    import timm

    for name, package in EMBEDDED.items():
        config = timm.get_pretrained_cfg(f"tf_{name}")
        yield ModelRow(
            f"embedded/{name}", config.input_size[-1], "imagenet-1k", "apache-2.0", package.replace("_", "-")
        )


def _timm() -> Iterator[ModelRow]:
    import timm

    for name in timm.list_models(pretrained=True):
        config = timm.get_pretrained_cfg(name)
        repository = (config.hf_hub_id or "").partition("@")[0]
        repository = f"timm/{name}" if repository == "timm/" else repository
        classes = "imagenet-1k" if config.num_classes == 1000 else str(config.num_classes or "none")
        yield ModelRow(
            f"timm/{name}", config.input_size[-1], classes, config.license or "not stated", repository or "not stated"
        )


def _torchvision() -> Iterator[ModelRow]:
    import torchvision.models as models

    for name in models.list_models(module=models):
        for weights in models.get_model_weights(name):
            size = weights.transforms().crop_size[0]
            yield ModelRow(f"torchvision/{name}:{weights.name}", size, "imagenet-1k", "not stated", weights.url)


def _open_clip() -> Iterator[ModelRow]:
    import open_clip

    for arch, tag in open_clip.list_pretrained():
        size = open_clip.get_model_config(arch)["vision_cfg"].get("image_size", 0)
        published = open_clip.get_pretrained_cfg(arch, tag)
        repository = "/".join((published.get("hf_hub") or "").split("/")[:2])  # a file of it may follow
        source = repository.rstrip("/") or published.get("url") or "not stated"
        side = size[0] if isinstance(size, list | tuple) else size
        yield ModelRow(f"open_clip/{arch},{tag}", side, "zero-shot", "not stated", source)
