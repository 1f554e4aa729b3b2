"""Models of the Hugging Face Hub, through transformers: image classifiers, and two-tower models as zero-shot ones."""

import importlib.metadata
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from snellen.classifiers.loaded import Loaded, given_space, no_download, their_options
from snellen.classifiers.network import ZeroShot
from snellen.classifiers.processor import Processing, processing_of, read_processor
from snellen.classifiers.prompts import read_prompts, text_head
from snellen.classifiers.spec import ModelSpec
from snellen.classifiers.weights import stored_sha256
from snellen.errors import ModelError
from snellen.labels import IMAGENET_1K, ClassSpace

# What is fetched of a repository: settings and vocabularies, then weights, PyTorch's own only where it has no others.
SETTINGS = ["*.json", "*.txt", "*.model"]
WEIGHTS = (["model.safetensors", "model-*.safetensors"], ["pytorch_model.bin", "pytorch_model-*.bin"])
# Labels are ImageNet's where at least this share of them, in order, are; some lists spell a few of them otherwise.
SAME_LABELS = 0.95
# The length that SigLIP's text tower was trained with: shorter texts are padded to it (transformers' own pipeline).
SIGLIP_TOKENS = 64


class Classifier(nn.Module):
    """An image classifier of transformers as a network from normalised views to logits; `bgr` swaps the channels."""

    def __init__(self, network: nn.Module, bgr: bool) -> None:
        super().__init__()
        self.network = network
        self.bgr = bgr

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Logits `[n, classes]` of normalised views `[n, 3, size, size]`."""
        logits: torch.Tensor = self.network(pixel_values=pixels.flip(1) if self.bgr else pixels).logits
        return logits


class ImageFeatures(nn.Module):
    """The image side of a two-tower model of transformers."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        for part in ("text_model", "text_projection"):
            if hasattr(network, part):
                delattr(network, part)
        self.network: Any = network

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Image features `[n, width]` of normalised views `[n, 3, size, size]`."""
        return _features(self.network.get_image_features(pixel_values=pixels))


def load(spec: ModelSpec) -> Loaded:
    """The model of `hf/ORG/NAME`, from the Hub or from a local folder in its layout; no remote code is ever run.

    Options: `revision=` of the Hub; for two-tower models `classnames=` and `templates=` (see `prompts.read_prompts`).
    """
    unknown = [option for option in their_options(spec) if option not in ("revision", "classnames", "templates")]
    if unknown:
        raise ModelError(f"hf models take no option {unknown[0]!r}; expected revision, classnames or templates")
    folder = _folder(spec)
    config = _read(spec, "AutoConfig", folder)
    from transformers.models.auto import modeling_auto as auto

    is_classifier = any("ForImageClassification" in name for name in config.architectures or ())
    if not is_classifier and type(config) in auto.MODEL_FOR_ZERO_SHOT_IMAGE_CLASSIFICATION_MAPPING:
        return _zero_shot(spec, folder, config)
    if is_classifier or type(config) in auto.MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING:
        return _classifier(spec, folder, config)
    raise ModelError(f"{spec.source} is a {config.model_type}; expected an image classifier or a two-tower model")


def class_space(labels: Sequence[str]) -> tuple[ClassSpace, int, tuple[str, ...]]:
    """The class space of a head's labels; how many background classes stand before it; what a user should know.

    Labels are ImageNet's where they are its names, synonyms or WordNet ids, in its order, or where 1,000 have no names.
    """
    for background in (0, 1):
        rest = labels[background:]
        if len(rest) != len(IMAGENET_1K):
            continue
        if all(re.fullmatch(r"LABEL_\d+", label) for label in rest):
            return IMAGENET_1K, background, ("its classes have no names; taken to be ImageNet's, in ImageNet's order",)
        same = sum(_means(label, place) for place, label in enumerate(rest))
        if same >= SAME_LABELS * len(rest):
            other = f"{len(rest) - same} of its class names are spelled unlike ImageNet's; taken to be ImageNet's"
            return IMAGENET_1K, background, (other,) if same < len(rest) else ()
    return ClassSpace.of_names(tuple(labels)), 0, ()


def _means(label: str, place: int) -> bool:
    words = {" ".join(word.replace("_", " ").casefold().split()) for word in (label, *label.split(","))}
    known = (IMAGENET_1K.keys[place], *IMAGENET_1K.synonyms[place])
    return any(word.casefold() in words for word in known)


def _folder(spec: ModelSpec) -> Path:
    if spec.path:
        if "revision" in spec.options or not spec.path.is_dir():
            what = "a revision goes with the Hub" if spec.path.is_dir() else f"{str(spec.path)!r} is a file"
            raise ModelError(f"{spec.text}: {what}; @ takes a folder as the Hub keeps it (config.json and weights)")
        return spec.path
    from huggingface_hub import snapshot_download

    revision = spec.options.get("revision")
    for weights in WEIGHTS:
        try:
            folder = Path(
                snapshot_download(spec.name, revision=revision and str(revision), allow_patterns=SETTINGS + weights)
            )
        except Exception as error:  # the hub client raises many kinds: no network, no such repository, gated, disk
            raise no_download(spec.source, error) from error
        if any(file for pattern in weights for file in folder.glob(pattern)):
            return folder
    raise ModelError(f"the Hub's {spec.name} holds no weights that transformers reads; give a folder with @FOLDER")


def _read(spec: ModelSpec, kind: str, folder: Path, **arguments: Any) -> Any:
    """What one of transformers' Auto classes makes of the folder; ModelError in one line where it cannot."""
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    try:
        return getattr(transformers, kind).from_pretrained(
            folder, trust_remote_code=False, local_files_only=True, **arguments
        )
    except Exception as error:  # transformers raises many kinds
        raise ModelError(f"transformers cannot read {spec.source}: {_first_line(error)}") from error


def _network(spec: ModelSpec, kind: str, folder: Path) -> Any:
    """The network with its weights, in float32; ModelError where the checkpoint lacks any of them."""
    safe = any(folder.glob("*.safetensors"))
    network, info = _read(spec, kind, folder, dtype=torch.float32, output_loading_info=True, use_safetensors=safe)
    lacking = sorted({*info["missing_keys"], *(entry[0] for entry in info["mismatched_keys"])})
    if lacking:
        more = f" and {len(lacking) - 3} more" if len(lacking) > 3 else ""
        raise ModelError(
            f"{spec.source}: its checkpoint lacks weights of {type(network).__name__} "
            f"({', '.join(lacking[:3])}{more}); "
            "expected a model with a classifier of its own, or a two-tower model"
        )
    _plain_pooling(network, getattr(network.config, "hidden_dim", None))
    return network.eval()


def _plain_pooling(network: nn.Module, channels: int | None) -> None:
    """Take the mean over the map where transformers' EfficientNet averages with a window as wide as its channels.

    The two are the same, since the window is larger than the map and only what it covers counts; OpenVINO refuses it.
    """
    for part in list(network.modules()):
        for name, child in part.named_children():
            if isinstance(child, nn.AvgPool2d) and child.ceil_mode and child.kernel_size == channels:
                setattr(part, name, nn.AdaptiveAvgPool2d(1))


def _processing(spec: ModelSpec, folder: Path) -> tuple[Processing, tuple[str, ...]]:
    try:
        processor = read_processor(folder)
    except Exception as error:  # transformers raises many kinds
        raise ModelError(
            f"transformers cannot read the image processor of {spec.source}: {_first_line(error)}"
        ) from error
    notes = [] if spec.path else [f"revision {folder.name[:12]}"]
    if getattr(processor, "backend", "pil") == "torchvision":
        notes.append("its own processor resizes with torchvision, ours with Pillow: pixels differ by up to 2 of 255")
    return processing_of(processor, spec.source), tuple(notes)


def _classifier(spec: ModelSpec, folder: Path, config: Any) -> Loaded:
    given = [option for option in ("classnames", "templates") if option in spec.options]
    if given:
        raise ModelError(f"{spec.source} has a classifier of its own; {given[0]}= goes with two-tower models")
    processing, notes = _processing(spec, folder)
    labels = [str(config.id2label[place]) for place in sorted(config.id2label)]
    given_classes = given_space(spec.options)
    space, background, more = (given_classes, 0, ()) if given_classes else class_space(labels)
    network = _network(spec, "AutoModelForImageClassification", folder)
    if background:
        _drop_first_class(network, len(labels), spec)
        more += ("its first class, the background, is left out",)
    module = Classifier(network, processing.bgr)
    return Loaded(module, processing.mean, processing.std, processing.own, space, folder, notes + more)


def _drop_first_class(network: nn.Module, outputs: int, spec: ModelSpec) -> None:
    heads = [part for part in network.modules() if isinstance(part, nn.Linear) and part.out_features == outputs]
    if len(heads) != 1:
        raise ModelError(f"{spec.source} has a background class and {len(heads)} linear heads; expected one")
    head = heads[0]
    head.weight = nn.Parameter(head.weight[1:].detach().clone())
    if head.bias is not None:
        head.bias = nn.Parameter(head.bias[1:].detach().clone())
    head.out_features -= 1


def _zero_shot(spec: ModelSpec, folder: Path, config: Any) -> Loaded:
    processing, notes = _processing(spec, folder)
    if processing.bgr:
        raise ModelError(f"{spec.source}: a two-tower model with do_flip_channel_order is not supported")
    space = given_space(spec.options) or IMAGENET_1K
    prompts = read_prompts(spec.options, space)
    network = _network(spec, "AutoModelForZeroShotImageClassification", folder)
    if not all(hasattr(network, name) for name in ("get_image_features", "get_text_features", "logit_scale")):
        raise ModelError(f"{spec.source}: a {config.model_type} has no image and text features to compare; use another")
    versions = [f"{name} {importlib.metadata.version(name)}" for name in ("torch", "transformers")]
    head = text_head(prompts, [stored_sha256(folder), *versions], _text_encoder(spec, folder, network, config))
    if getattr(network, "logit_bias", None) is not None:
        notes += ("the model's logit bias, one number for all classes, is left out: it changes no order, no softmax",)
    module = ZeroShot(ImageFeatures(network).cpu(), head, float(network.logit_scale.detach().exp()))
    return Loaded(
        module,
        processing.mean,
        processing.std,
        processing.own,
        space,
        folder,
        notes + prompts.notes,
        inputs=prompts.inputs,
    )


def _text_encoder(spec: ModelSpec, folder: Path, network: Any, config: Any) -> Callable[[list[str]], torch.Tensor]:
    """Encodes texts; the tokenizer is read at the first call, since a cached head needs none."""
    made: list[Any] = []
    siglip = "siglip" in config.model_type
    length: dict[str, Any] = {"padding": "max_length", "max_length": SIGLIP_TOKENS} if siglip else {"padding": True}

    def encode(texts: list[str]) -> torch.Tensor:
        device = "cuda" if torch.cuda.is_available() else "cpu"
        if not made:
            made.append(_read(spec, "AutoTokenizer", folder))
            network.to(device)
        tokens = made[0](texts, return_tensors="pt", truncation=True, **length)
        return _features(network.get_text_features(**tokens.to(device)))

    return encode


def _features(output: Any) -> torch.Tensor:
    features: torch.Tensor = output if isinstance(output, torch.Tensor) else output.pooler_output
    return features


def _first_line(error: Exception) -> str:
    """The start of what an error says; transformers likes to list all it knows in one line."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
