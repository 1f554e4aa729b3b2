"""`MODEL` on the command line: what its text means."""

import ast
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from snellen.errors import ModelError

KINDS = ("embedded", "timm", "torchvision")
FORMS = (
    "embedded/NAME, timm/NAME, torchvision/NAME[:WEIGHTS] (each with [@CHECKPOINT][,option=value]) or FILE.py:FUNCTION"
)


@dataclass(frozen=True)
class ModelSpec:
    """A parsed model spec.

    kind: `embedded`, `timm`, `torchvision` or `file`.
    name: the network's name in its library; for `file`, the function's name.
    tag: torchvision's name of a set of weights, or None.
    path: the checkpoint, or for `file` the Python file; absolute.
    options: what followed as `,key=value`, as Python values.
    """

    kind: str
    name: str
    tag: str | None = None
    path: Path | None = None
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The canonical spelling, which names run directories and opens the same model again."""
        options = "".join(f",{key}={_unparse(value)}" for key, value in sorted(self.options.items()))
        if self.kind == "file":
            return f"{self.path}:{self.name}{options}"
        checkpoint = f"@{self.path}" if self.path else ""
        return f"{self.source}{checkpoint}{options}"

    @property
    def source(self) -> str:
        """Which network, without the checkpoint's path and the options."""
        name = f"{self.path.name}:{self.name}" if self.kind == "file" and self.path else self.name
        return f"{self.kind}/{name}" + (f":{self.tag}" if self.tag else "")


def parse_spec(text: str) -> ModelSpec:
    """The spec that `text` spells; ModelError where it spells none.

    >>> parse_spec("torchvision/resnet50:IMAGENET1K_V1").tag
    'IMAGENET1K_V1'
    >>> parse_spec("timm/mobilenetv2_100,pad_type=same,mean=0.5").options
    {'pad_type': 'same', 'mean': 0.5}
    """
    head, *pairs = re.split(r",(?=\w+=)", text)
    options = {key: _parse(value) for key, value in (pair.split("=", 1) for pair in pairs)}
    user = re.fullmatch(r"(?P<file>.+\.py):(?P<function>\w+)", head)
    if user:
        return ModelSpec("file", user["function"], path=_existing(user["file"], "Python file"), options=options)
    body, _, checkpoint = head.partition("@")
    kind, slash, name = body.partition("/")
    if not slash or not name:
        raise ModelError(f"model {text!r} is not understood; expected {FORMS}")
    if kind not in KINDS:
        raise ModelError(f"unknown kind of model {kind!r} in {text!r}; expected {FORMS}")
    tag = None
    if kind == "torchvision":
        name, _, weights = name.partition(":")
        tag = weights or None
    path = _existing(checkpoint, "checkpoint") if checkpoint else None
    return ModelSpec(kind, name, tag, path, options)


def _existing(text: str, what: str) -> Path:
    path = Path(text).expanduser()
    if not path.is_file():
        raise ModelError(f"no {what} at {text!r}; give the path of a file that exists")
    return path.resolve()


def _parse(value: str) -> Any:
    try:
        return ast.literal_eval({"true": "True", "false": "False", "none": "None"}.get(value, value))
    except (ValueError, SyntaxError):
        return tuple(float(v) for v in value.split(":")) if re.fullmatch(r"[\d.]+(:[\d.]+)+", value) else value


def _unparse(value: Any) -> str:
    return ":".join(map(str, value)) if isinstance(value, tuple) else str(value)
