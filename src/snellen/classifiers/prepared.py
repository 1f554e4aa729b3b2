"""A model that is ready to run, as workers are told of it."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snellen.classifiers.backends import CONVERTED
from snellen.classifiers.base import Classifier, ModelCard
from snellen.classifiers.spec import parse_spec
from snellen.errors import ModelError
from snellen.labels import ClassMap
from snellen.places import cache_root

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Prepared:
    """A model ready to run.

    entry: its folder in the cache; model: the file in it that the backend reads, None where PyTorch runs the network.
    network: set for one given as an object and run by PyTorch in this process.
    again: prepares the same model on another backend, which it is told as `backend`; None where one was asked for.
    """

    text: str
    card: ModelCard
    backend: str
    device: str
    precision: str
    batch_size: int
    views_per_s: float
    options: dict[str, Any]
    entry: Path | None = None
    model: Path | None = None
    network: "torch.nn.Module | None" = None
    again: "Callable[..., Prepared] | None" = field(default=None, repr=False, compare=False)

    def with_batch(self, batch_size: int) -> "Prepared":
        """The same model in batches of `batch_size` views."""
        return replace(self, batch_size=batch_size)

    def as_recorded(self, backend: str) -> "Prepared":
        """The same model as a run was started with: on that backend, if `auto` now means another."""
        return self if self.again is None or backend == self.backend else self.again(backend=backend)

    @property
    def runs(self) -> str:
        """What is run: a converted form by the name of its folder, or PyTorch in one way or another."""
        return self.model.parent.name if self.model else self.backend

    @property
    def generative(self) -> bool:
        """Whether it answers in words, and gives no logits."""
        return False

    def within(self, classes: ClassMap | None) -> "Prepared":
        """The model as it is used on a data set of these classes: logits are masked later, so it is the same."""
        return self

    def classifier(self) -> Classifier:
        """Load the model here, in this process."""
        if self.backend in CONVERTED:
            assert self.model is not None
            text = "" if self.text.startswith("module/") else self.text
            if self.backend == "onnxruntime":
                from snellen.classifiers.backend_onnxruntime import OnnxClassifier

                return OnnxClassifier(self.model, self.batch_size, text=text)
            from snellen.classifiers.backend_openvino import OpenVinoClassifier

            return OpenVinoClassifier(self.model, self.precision, self.batch_size, text=text)
        network = self.module()
        from snellen.classifiers.backend_torch import CompiledClassifier, TorchClassifier

        if self.backend == "torch-compile":
            return CompiledClassifier(network, self.card, self.device, self.precision, self.batch_size)
        return TorchClassifier(network, self.card, self.device, self.precision)

    def module(self) -> "torch.nn.Module":
        """The torch network, whatever backend computes with it; loaded here, unless it was given as an object.

        Raises ModelError where it is no longer what was prepared: the run says of its answers whose they are.
        """
        # What is compiled is kept. PyTorch's own choice, made while timm is imported, is a folder of a known name in
        # /tmp, which anybody may have put there.
        os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(cache_root() / "compiled"))
        if self.network is not None:
            return self.network
        from snellen.classifiers.sources import load

        loaded, card = load(parse_spec(self.text)), self.card
        if loaded.weights != card.weights:
            raise ModelError(
                f"the weights of {self.text} changed since it was prepared ({card.weights[:8]}… then, "
                f"{loaded.weights[:8]}… now); put the first back, or start a run of the new ones with another -o"
            )
        if loaded.inputs != card.inputs:
            raise ModelError(
                f"the class names or prompts of {self.text} changed since it was prepared; put the first back, or "
                "start a run of the new ones with another -o"
            )
        return loaded.module

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
            "model": str(self.model) if self.model else None,
        }

    @staticmethod
    def from_json(record: dict[str, Any]) -> "Prepared":
        """The model that `to_json` described."""
        paths = {key: Path(record[key]) if record[key] else None for key in ("entry", "model")}
        return Prepared(**(record | paths | {"card": ModelCard.from_json(record["card"])}))
