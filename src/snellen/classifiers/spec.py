"""`MODEL` on the command line: what its text means."""

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from snellen.errors import ModelError

KINDS = ("embedded", "timm", "torchvision", "open_clip", "hf", "vlm")
FORMS = (
    "embedded/NAME, timm/NAME, torchvision/NAME[:WEIGHTS], open_clip/ARCH,PRETRAINED, hf/ORG/NAME "
    "(each with [@CHECKPOINT][,option=value]), vlm/NAME@URL or FILE.py:FUNCTION"
)
# What stands before the name of a set of weights.
TAGS = {"torchvision": ":", "open_clip": ","}


@dataclass(frozen=True)
class ModelSpec:
    """A parsed model spec.

    kind: one of `KINDS`, or `file`.
    name: the network's name in its library; for `file`, the function's name.
    tag: torchvision's or OpenCLIP's name of a set of weights, or None.
    path: the checkpoint, for `hf` also a folder, for `file` the Python file; absolute.
    options: what followed as `,key=value`, as Python values.
    url: where a `vlm` is served.
    """

    kind: str
    name: str
    tag: str | None = None
    path: Path | None = None
    options: dict[str, Any] = field(default_factory=dict)
    url: str | None = None

    @property
    def text(self) -> str:
        """The canonical spelling, which names run directories and opens the same model again."""
        options = "".join(f",{key}={_unparse(value)}" for key, value in sorted(self.options.items()))
        if self.kind == "file":
            return f"{self.path}:{self.name}{options}"
        checkpoint = f"@{self.path or self.url}" if self.path or self.url else ""
        return f"{self.source}{checkpoint}{options}"

    @property
    def source(self) -> str:
        """Which network, without the checkpoint's path and the options."""
        name = f"{self.path.name}:{self.name}" if self.kind == "file" and self.path else self.name
        return f"{self.kind}/{name}" + (f"{TAGS[self.kind]}{self.tag}" if self.tag else "")


def parse_spec(text: str) -> ModelSpec:
    """The spec that `text` spells; ModelError where it spells none.

    >>> parse_spec("torchvision/resnet50:IMAGENET1K_V1").tag
    'IMAGENET1K_V1'
    >>> parse_spec("timm/mobilenetv2_100,pad_type=same,mean=0.5").options
    {'pad_type': 'same', 'mean': 0.5}
    >>> parse_spec("open_clip/ViT-B-32,openai,templates=single").tag
    'openai'
    """
    head, *pairs = re.split(r",(?=\w+=)", text)
    options = {key: _parse(value) for key, value in (pair.split("=", 1) for pair in pairs)}
    user = re.fullmatch(r"(?P<file>.+\.py):(?P<function>\w+)", head)
    if user:
        return ModelSpec("file", user["function"], path=_existing(user["file"], "Python file"), options=options)
    body, _, place = head.partition("@")
    kind, slash, name = body.partition("/")
    if not slash or not name:
        raise ModelError(f"model {text!r} is not understood; expected {FORMS}")
    if kind not in KINDS:
        raise ModelError(f"unknown kind of model {kind!r} in {text!r}; expected {FORMS}")
    if kind == "vlm":
        if not re.match(r"https?://[^/]", place):
            raise ModelError(f"model {text!r} names no server; write vlm/NAME@http://HOST:PORT/v1")
        return ModelSpec(kind, name, options=options, url=place.rstrip("/"))
    tag = None
    if kind in TAGS:
        name, _, weights = name.partition(TAGS[kind])
        tag = weights or None
    path = _existing(place, "checkpoint", folder=kind == "hf") if place else None
    return ModelSpec(kind, name, tag, path, options)


def with_prompts(text: str, options: Mapping[str, Any]) -> str:
    """The spec with these options where it is an OpenCLIP model's and does not state them itself.

    >>> with_prompts("open_clip/ViT-B-32,openai,templates=single", {"templates": "simple7", "normalize": "imagenet"})
    'open_clip/ViT-B-32,openai,normalize=imagenet,templates=single'
    """
    spec = parse_spec(text)
    return replace(spec, options={**options, **spec.options}).text if spec.kind == "open_clip" else spec.text


def _existing(text: str, what: str, folder: bool = False) -> Path:
    path = Path(text).expanduser()
    if not path.is_file() and not (folder and path.is_dir()):
        raise ModelError(f"no {what} at {text!r}; give the path of a file that exists")
    return path.resolve()


def _parse(value: str) -> Any:
    try:
        return ast.literal_eval({"true": "True", "false": "False", "none": "None"}.get(value, value))
    except (ValueError, SyntaxError):
        return tuple(float(v) for v in value.split(":")) if re.fullmatch(r"[\d.]+(:[\d.]+)+", value) else value


def _unparse(value: Any) -> str:
    return ":".join(map(str, value)) if isinstance(value, tuple) else str(value)
