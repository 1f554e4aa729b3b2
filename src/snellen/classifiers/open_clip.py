"""Two-tower models of open_clip (OpenAI's weights too), as zero-shot classifiers."""

import contextlib
import hashlib
import importlib.metadata
import json
import logging
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snellen.classifiers.base import OwnTransform
from snellen.classifiers.loaded import Loaded, given_space, hub_file, no_download, their_options, unknown_name
from snellen.classifiers.prompts import read_prompts, text_head
from snellen.classifiers.spec import ModelSpec
from snellen.classifiers.weights import fit_weights, read_weights, stored_sha256
from snellen.errors import ModelError
from snellen.labels import IMAGENET_1K
from snellen.zoom.grid import Fit

if TYPE_CHECKING:
    import torch

# open_clip's resize modes (open_clip/transform.py), as ours.
FITS: dict[str, Fit] = {"shortest": "shorter", "squash": "squash"}
# What a description of an architecture holds; a file of the Hub wraps it as `model_cfg`.
PARTS = ("embed_dim", "vision_cfg", "text_cfg")
# Options of open_clip.create_model that change the network, not where it comes from or what it runs on.
THEIRS = ("force_image_size", "force_quick_gelu")
# Entries that older checkpoints hold and the network makes by itself.
LEFT_OUT = ("input_resolution", "context_length", "vocab_size", "text.transformer.embeddings.position_ids")


def load(spec: ModelSpec) -> Loaded:
    """The zero-shot classifier of `open_clip/ARCH,PRETRAINED`, with those weights or those of a local file.

    Options: `classnames=`, `templates=` (see `prompts.read_prompts`), `force_image_size=`, `force_quick_gelu=true`,
    and `config=FILE.json` for an architecture that open_clip does not know: a file such as its own, or the
    `open_clip_config.json` of a Hub repository; ARCH is then any name.

    With a local file PRETRAINED only says which normalisation, resizing and activation belong to it.
    """
    options = {k: v for k, v in their_options(spec).items() if k not in ("classnames", "templates", "config")}
    unknown = [option for option in options if option not in THEIRS]
    if unknown:
        known = ", ".join(("classnames", "templates", "config", *THEIRS))
        raise ModelError(f"open_clip models take no option {unknown[0]!r}; expected {known}")
    space = given_space(spec.options) or IMAGENET_1K
    prompts = read_prompts(spec.options, space)
    arch, preprocess, digest = _architecture(spec)
    published = _published(spec, arch)
    notes = _notes(spec, published)
    if published.get("quick_gelu"):
        options = {"force_quick_gelu": True} | options
        notes += _activation_note(spec, arch)
    file = spec.path or _download(spec, published)
    model = _make(spec, arch, preprocess | published, options)
    own, mean, std = own_transform(model.visual.preprocess_cfg, spec.source)
    fit_weights(model, _renamed(model, read_weights(file)), file)
    key = [spec.source, stored_sha256(file), digest, json.dumps(options, sort_keys=True), *_versions()]
    head = text_head(prompts, key, _text_encoder(model, arch))
    if model.logit_bias is not None:
        notes += ("the model's logit bias, one number for all classes, is left out: it changes no order, no softmax",)
    inputs = prompts.inputs + ((("config", digest[:12]),) if digest else ())
    return Loaded(_zero_shot(model, head), mean, std, own, space, file, notes + prompts.notes, inputs=inputs)


def own_transform(config: Mapping[str, Any], name: str) -> tuple[OwnTransform, tuple[float, ...], tuple[float, ...]]:
    """The evaluation transform that open_clip makes of a model's `preprocess_cfg`, as Snellen cuts it; mean; std.

    Raises ModelError for one that Snellen cannot cut.
    """
    size = config["size"]
    height, width = (size, size) if isinstance(size, int) else (size[0], size[-1])
    if height != width or config["resize_mode"] not in FITS:
        raise ModelError(
            f"{name} is evaluated at {height} x {width} pixels, resize_mode {config['resize_mode']}; "
            f"square inputs and {', '.join(FITS)} are known"
        )
    own = OwnTransform(
        height, height, "bilinear" if config["interpolation"] == "bilinear" else "bicubic", FITS[config["resize_mode"]]
    )
    return own, tuple(config["mean"]), tuple(config["std"])


def _architecture(spec: ModelSpec) -> tuple[str, dict[str, Any], str]:
    """open_clip's name for the architecture; of `config=FILE` also how it is evaluated, and the file's sha256."""
    import open_clip

    if "config" not in spec.options:
        if spec.name not in open_clip.list_models():
            raise unknown_name("open_clip", spec.name, open_clip.list_models())
        return spec.name, {}, ""
    place = Path(str(spec.options["config"])).expanduser()
    try:
        data = place.read_bytes()
        found: Any = json.loads(data)
        network = found.get("model_cfg", found)
        lacking = [part for part in PARTS if part not in network]
    except OSError as error:
        raise ModelError(f"config={place}: {error.strerror}; give a JSON file of an architecture") from error
    except (ValueError, TypeError, AttributeError) as error:
        raise ModelError(f"config={place}: not a JSON description of an architecture ({error})") from error
    if lacking:
        raise ModelError(f"config={place}: it lacks {', '.join(lacking)}; expected {', '.join(PARTS)}")
    digest = hashlib.sha256(data).hexdigest()
    arch = f"{spec.name.replace('/', '-')}-{digest[:12]}"  # never the name of another in this process
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"{arch}.json"
        file.write_text(json.dumps(network))
        open_clip.add_model_config(file)
    return arch, found.get("preprocess_cfg", {}), digest


def _published(spec: ModelSpec, arch: str) -> dict[str, Any]:
    """open_clip's entry for the set of weights; empty where none is named."""
    import open_clip

    tags = open_clip.list_pretrained_tags_by_model(arch)
    if spec.tag is None:
        if spec.path is None:
            hint = f"write open_clip/{spec.name},TAG with one of {', '.join(tags)}" if tags else "give one with @FILE"
            raise ModelError(f"open_clip/{spec.name} names no weights; {hint}")
        return {}
    if not open_clip.is_pretrained_cfg(arch, spec.tag):
        raise unknown_name(f"open_clip's weights of {spec.name}", spec.tag, tags)
    return dict(open_clip.get_pretrained_cfg(arch, spec.tag))


def _notes(spec: ModelSpec, published: Mapping[str, Any]) -> tuple[str, ...]:
    if published or "config" in spec.options or {"mean", "std", "normalize"} & spec.options.keys():
        return ()
    return ("normalisation and resizing are OpenAI CLIP's; name PRETRAINED, or set mean=,std=, for others",)


def _activation_note(spec: ModelSpec, arch: str) -> tuple[str, ...]:
    import open_clip

    if open_clip.get_model_config(arch).get("quick_gelu"):
        return ()
    return (
        f"activation: QuickGELU, with which {spec.tag} was trained; open_clip by itself takes GELU for {spec.name}",
    )


def _make(spec: ModelSpec, arch: str, preprocess: Mapping[str, Any], options: Mapping[str, Any]) -> Any:
    """The network, without weights; its `visual.preprocess_cfg` says how it is evaluated."""
    import open_clip

    evaluated = {key: value for key, value in preprocess.items() if key != "size"}  # the network's own
    try:
        with _quiet():
            return open_clip.create_model(
                arch, load_weights=False, pretrained_text=False, force_preprocess_cfg=evaluated, **options
            ).eval()
    except ImportError as error:
        raise ModelError(f"the text tower of {spec.name} needs transformers: pip install 'snellen[hf]'") from error
    except Exception as error:  # whatever a description that does not fit raises; or the Hub, for a text tower's
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ModelError(f"open_clip cannot make {spec.name}: {reason}") from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep open_clip from warning of a network without weights: they come next."""
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


def _download(spec: ModelSpec, published: Mapping[str, Any]) -> Path:
    import open_clip
    from open_clip.constants import HF_SAFE_WEIGHTS_NAME, HF_WEIGHTS_NAME

    if published.get("hf_hub"):
        repository, _, name = published["hf_hub"].rpartition("/")
        names = (f"{Path(name).stem}.safetensors", name) if name else (HF_SAFE_WEIGHTS_NAME, HF_WEIGHTS_NAME)
        return hub_file(spec.source, repository, names)
    try:
        return Path(open_clip.download_pretrained(published))
    except Exception as error:  # urllib raises many kinds
        raise no_download(spec.source, error) from error


def _renamed(model: Any, weights: dict[str, "torch.Tensor"]) -> dict[str, "torch.Tensor"]:
    """A checkpoint's entries as this network names and shapes them, by open_clip's own rules (factory.py)."""
    from open_clip.convert import convert_state_dict
    from open_clip.model import convert_to_custom_text_state_dict, resize_pos_embed, resize_text_pos_embed

    weights = {k: v for k, v in convert_state_dict(model, weights).items() if k not in LEFT_OUT}
    if "positional_embedding" in weights and not hasattr(model, "positional_embedding"):
        weights = convert_to_custom_text_state_dict(weights)
    for name in {"logit_scale", "logit_bias"} & weights.keys():
        own = getattr(model, name)
        if own is not None and own.numel() == weights[name].numel():
            weights[name] = weights[name].reshape(own.shape)
    with contextlib.suppress(AssertionError, RuntimeError, AttributeError):  # fit_weights says what does not fit
        resize_pos_embed(weights, model)
        resize_text_pos_embed(weights, model)
    return weights


def _text_encoder(model: Any, arch: str) -> Callable[[list[str]], "torch.Tensor"]:
    """Encodes texts; the tokenizer is made at the first call, since a cached head needs none."""
    made: list[Any] = []

    def encode(texts: list[str]) -> "torch.Tensor":
        import torch

        device = "cuda" if torch.cuda.is_available() else "cpu"
        if not made:
            made.append(_tokenizer(arch))
            model.to(device)
        tokens = made[0](texts)
        with _as_short_as(model, tokens) as length:
            features: torch.Tensor = model.encode_text(tokens[:, :length].to(device))
        return features

    return encode


@contextlib.contextmanager
def _as_short_as(model: Any, tokens: "torch.Tensor") -> Iterator[int]:
    """Cut CLIP's context to the longest text while it runs: a fourth of the work, and the same features.

    Its attention looks only back, and its features are those of the end-of-text token, which has the highest number:
    the zeros that follow it cannot change them. Other text towers keep their context.
    """
    import open_clip
    from torch import nn

    length = tokens.shape[1]
    if not isinstance(model, open_clip.CLIP) or model.text_pool_type != "argmax" or model.attn_mask is None:
        yield length
        return
    length = int((tokens != 0).any(0).nonzero().max()) + 1
    positions, mask = model.positional_embedding, model.attn_mask
    model.positional_embedding, model.attn_mask = nn.Parameter(positions[:length]), mask[:length, :length]
    try:
        yield length
    finally:
        model.positional_embedding, model.attn_mask = positions, mask


def _tokenizer(arch: str) -> Any:
    import open_clip

    text = (open_clip.get_model_config(arch) or {}).get("text_cfg", {})
    # Only transformers' tokenizers could bring code of their own.
    safe = {"trust_remote_code": False} if text.get("hf_tokenizer_name") else {}
    try:
        return open_clip.get_tokenizer(arch, **safe)
    except ImportError as error:
        raise ModelError(f"the tokenizer of {arch} needs transformers: pip install 'snellen[hf]'") from error
    except Exception as error:  # the hub client raises many kinds
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ModelError(f"cannot get the tokenizer of {arch} ({reason}); connect to the network once") from error


def _zero_shot(model: Any, head: "torch.Tensor") -> "torch.nn.Module":
    from snellen.classifiers.network import ZeroShot

    return ZeroShot(model.visual.cpu(), head, float(model.logit_scale.detach().exp()))


def _versions() -> list[str]:
    """The libraries that decide what a text tower computes."""
    return [f"{name} {importlib.metadata.version(name)}" for name in ("torch", "open_clip_torch")]
