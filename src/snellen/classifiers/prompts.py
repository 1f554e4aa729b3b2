"""Class names and prompt templates of zero-shot classifiers, and the text heads made of them."""

import hashlib
import importlib.util
import json
import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snellen.atomic import write_atomic
from snellen.classifiers.loaded import lines_of
from snellen.classifiers.weights import file_sha256
from snellen.errors import ModelError
from snellen.labels import IMAGENET_1K, ClassSpace
from snellen.places import cache_root

if TYPE_CHECKING:
    import torch

# Options whose value may be a file, by kind of model: what is in it decides, not where it lies.
FILE_OPTIONS = {
    "open_clip": ("classes", "classnames", "templates", "config"),
    "hf": ("classes", "classnames", "templates"),
}
NAMED = {"classnames": ("openai", "wordnet"), "templates": ("openai80", "simple7", "single")}
# Prompts that are encoded at once.
BATCH = 512
# Counts up when heads are made in another way.
HEAD_FORMAT = 1


@dataclass(frozen=True)
class Prompts:
    """What a zero-shot classifier calls its classes, and the sentences it puts the names in.

    names: one a class, in the order of the class space.
    templates: sentences with `{}` where the name goes.
    inputs: a name and a hash of each of the two, for the model's card.
    notes: what a user should know: names that several classes share.
    """

    names: tuple[str, ...]
    templates: tuple[str, ...]
    inputs: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]

    def texts(self, name: str) -> list[str]:
        """Every template with a name in it."""
        return [template.replace("{}", name) for template in self.templates]


def read_prompts(options: dict[str, Any], space: ClassSpace) -> Prompts:
    """The prompts that `classnames=` and `templates=` choose for the classes of `space`.

    classnames: `openai` (the default where every class is one of ImageNet's), `wordnet` (a class's first lemma), or
        a text file, one a line; for other classes the default is the class space's own names.
    templates: `openai80` (the default), `simple7`, `single`, or a text file, one a line, with `{}` for the name.

    Raises ModelError for a file that cannot be read, another count of names, or a template without a place for one.
    Source: the names and templates of OpenAI's CLIP, as open_clip ships them.

    >>> read_prompts({"templates": "single"}, IMAGENET_1K).texts("tench")
    ['a photo of a tench.']
    """
    names, which = _names(options.get("classnames"), space)
    templates, kind = _templates(options.get("templates", "openai80"))
    inputs = (("classnames", f"{which} {_digest(names)}"), ("templates", f"{kind} {_digest(templates)}"))
    return Prompts(tuple(names), tuple(templates), inputs, _shared_names(names, space))


def option_key(kind: str, option: str, value: object) -> str:
    """What stands for an option's value in the key of a cache: a file's content, anything else itself."""
    if value == "wordnet" and option == "classnames":
        return f"wordnet {_digest([words[0] for words in IMAGENET_1K.synonyms])}"
    if option not in FILE_OPTIONS.get(kind, ("classes",)) or value in NAMED.get(option, ()):
        return str(value)
    try:
        return file_sha256(Path(str(value)).expanduser())
    except OSError as error:
        raise ModelError(f"{option}={value}: {error.strerror}; {_expected(option)}") from error


def text_head(prompts: Prompts, key: Sequence[str], encode: Callable[[list[str]], "torch.Tensor"]) -> "torch.Tensor":
    """The head of a zero-shot classifier: float32 `[classes, width]`, rows of length 1; computed once, then cached.

    key: everything but the prompts that decides it: the weights, the library.
    encode: features `[texts, width]` of texts.

    Method: Radford et al., arXiv 2103.00020, section 3.1.4, as released: the features of a class's prompts are
    brought to length 1, averaged, and brought to length 1 again.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file, save

    digest = hashlib.sha256(json.dumps([HEAD_FORMAT, *key, prompts.names, prompts.templates]).encode()).hexdigest()
    file = cache_root() / "heads" / f"{digest[:24]}.safetensors"
    try:
        return load_file(file)["head"]
    except (OSError, SafetensorError, KeyError):
        pass
    step = max(1, BATCH // len(prompts.templates))
    rows = []
    with torch.inference_mode():
        for start in range(0, len(prompts.names), step):
            names = prompts.names[start : start + step]
            features = encode([text for name in names for text in prompts.texts(name)])
            features = torch.nn.functional.normalize(features.float(), dim=-1)
            means = features.view(len(names), len(prompts.templates), -1).mean(1)
            rows.append((means / means.norm(dim=-1, keepdim=True)).cpu())
    head = torch.cat(rows).clone()
    file.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(file, save({"head": head}))
    return head


@cache
def _metadata() -> Any:
    """open_clip's lists of names and templates: a file of plain values, read without its package, which loads torch."""
    package = importlib.util.find_spec("open_clip")
    if package is None or package.origin is None:
        raise ModelError("class names and templates come with the package open_clip_torch, which is not installed")
    file = Path(package.origin).with_name("zero_shot_metadata.py")
    found = importlib.util.spec_from_file_location("snellen_zero_shot_metadata", file)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def _names(choice: object, space: ClassSpace) -> tuple[list[str], str]:
    places = {key: i for i, key in enumerate(IMAGENET_1K.keys)}
    foreign = [key for key in space.keys if key not in places]
    if choice is None:
        if foreign:
            return [name.replace("_", " ") for name in space.names], "own"
        choice = "openai"
    if choice not in NAMED["classnames"]:
        return _names_of_file(choice, space), "file"
    if foreign:
        raise ModelError(
            f"classnames={choice} names ImageNet's classes, but {space.name} has others, such as {foreign[0]!r}; "
            "give classnames=FILE"
        )
    words = [words[0] for words in IMAGENET_1K.synonyms] if choice == "wordnet" else _metadata().IMAGENET_CLASSNAMES
    return [words[places[key]] for key in space.keys], str(choice)


def _names_of_file(file: object, space: ClassSpace) -> list[str]:
    names = [line.strip() for line in lines_of("classnames", file, _expected("classnames"))]
    while names and not names[-1]:
        names.pop()
    if "" in names:
        raise ModelError(f"classnames={file}: line {names.index('') + 1} is blank; expected one name a line")
    if len(names) != len(space):
        raise ModelError(
            f"classnames={file}: {len(names)} names, but {space.name} has {len(space)} classes; "
            "expected one name a class, in the order of the classes"
        )
    return names


def _templates(choice: object) -> tuple[list[str], str]:
    if choice == "single":
        return ["a photo of a {}."], "single"
    if choice in NAMED["templates"]:
        metadata = _metadata()
        made = metadata.OPENAI_IMAGENET_TEMPLATES if choice == "openai80" else metadata.SIMPLE_IMAGENET_TEMPLATES
        return [template("{}") for template in made], str(choice)
    lines = [line.strip() for line in lines_of("templates", choice, _expected("templates"))]
    templates = [line.replace("{c}", "{}") for line in lines if line]
    bad = [template for template in templates if re.search(r"[{}]", template.replace("{}", "")) or "{}" not in template]
    if bad or not templates:
        what = f"template {bad[0]!r} does not say once or more, as {{}}, where the name goes" if bad else "no template"
        raise ModelError(f"templates={choice}: {what}; expected lines such as 'a photo of a {{}}.'")
    return templates, "file"


def _shared_names(names: Sequence[str], space: ClassSpace) -> tuple[str, ...]:
    classes: dict[str, list[int]] = defaultdict(list)
    for i, name in enumerate(names):
        classes[name.casefold()].append(i)
    twice = [ids for ids in classes.values() if len(ids) > 1]
    shared = [f"{names[ids[0]]!r} ({', '.join(f'{i} {space.keys[i]}' for i in ids)})" for ids in twice]
    if not shared:
        return ()
    more = f" and {len(shared) - 5} more" if len(shared) > 5 else ""
    return (
        f"class names that several classes share: {', '.join(shared[:5])}{more}; "
        "their logits are equal, and the first class is answered",
    )


def _expected(option: str) -> str:
    return f"expected {', '.join((*NAMED.get(option, ()), 'or a file' if option in NAMED else 'a file'))}"


def _digest(lines: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:12]
