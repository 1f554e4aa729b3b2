"""From `vlm/MODEL@URL` to a model that can be asked: its options, its prompt, its card. No request is sent here."""

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from snellen.classifiers.base import Classifier, ModelCard, OwnTransform
from snellen.classifiers.loaded import given_space, lines_of
from snellen.classifiers.prepared import Prepared
from snellen.classifiers.prompts import read_prompts
from snellen.classifiers.spec import ModelSpec
from snellen.classifiers.vlm.answer_cache import Call
from snellen.classifiers.vlm.chat import Server, check_url
from snellen.classifiers.vlm.classifier import VlmClassifier
from snellen.classifiers.vlm.matcher import RULE as MATCHING_RULE
from snellen.classifiers.vlm.matcher import matcher, shown_names
from snellen.classifiers.vlm.picture import RULE as PICTURE_RULE
from snellen.errors import ModelError
from snellen.labels import IMAGENET_1K, ClassMap, ClassSpace

PROMPTS = {
    "closed": "Which one of the classes listed below does the image show? "
    "Answer with the name of that class as it is listed, and with nothing else.\n\nClasses:\n{classes}",
    "free": "Name the main object in the image, as precisely as you can. Answer with its name and with nothing else.",
}
# Answers a second that one request at a time is taken to bring; it only sizes shards.
ANSWERS_PER_S = 1.0


@dataclass(frozen=True)
class VlmOptions:
    """What follows `vlm/MODEL@URL` as `,key=value`; None where it says `none`, and then it is not sent.

    prompt: `closed`, `free`, or a text file, with `{classes}` where the names go, one a line.
    classnames: what the classes are called in the prompt; see `read_prompts`. classes: a file of other classes.
    match, threshold: how an answer finds its class; see `matcher`.
    max_side: a larger image is shrunk to this many pixels on its longer side.
    max_tokens, temperature, seed: as the server takes them.
    concurrency: requests at a time. timeout: seconds each may take. retries: how often one is sent again.
    key_env: the environment variable that holds the key.
    """

    prompt: str = "closed"
    classnames: str | None = None
    classes: str | None = None
    match: str = "synonyms"
    threshold: float = 90.0
    max_side: int = 1024
    max_tokens: int | None = 64
    temperature: float | None = 0.0
    seed: int | None = 0
    concurrency: int = 8
    timeout: float = 60.0
    retries: int = 5
    key_env: str | None = "OPENAI_API_KEY"


# The least and the most that a number may be.
RANGES: dict[str, tuple[float, float]] = {
    "threshold": (0, 100),
    "max_side": (16, 65_535),  # the longest side that JPEG knows
    "max_tokens": (1, 10**6),
    "temperature": (0, 2),
    "seed": (0, 2**63 - 1),
    "concurrency": (1, 1024),
    "timeout": (0.1, 86_400),
    "retries": (0, 100),
}
WHOLE = ("max_side", "max_tokens", "seed", "concurrency", "retries")
LEFT_OUT = ("max_tokens", "temperature", "seed", "key_env")  # those that may be none
SAMPLING = ("max_tokens", "temperature", "seed")
# Options that change how an answer is fetched, and not what it is; the key's name is nobody else's business.
FETCHING = ("concurrency", "timeout", "retries", "key_env")


@dataclass(frozen=True)
class PreparedVlm(Prepared):
    """A generative model ready to be asked; `text` and `options` hold only what decides its answers."""

    spec: ModelSpec = field(kw_only=True, repr=False)
    chosen: VlmOptions = field(kw_only=True)
    call: Call = field(kw_only=True, repr=False)
    space: ClassSpace = field(kw_only=True, repr=False)
    ids: Sequence[int] = field(kw_only=True, repr=False)

    @property
    def generative(self) -> bool:
        """It answers in words."""
        return True

    def within(self, classes: ClassMap | None) -> "PreparedVlm":
        """The same model, asked about the classes of a data set only."""
        return prepare_vlm(self.spec, classmap=classes) if classes else self

    def answerer(self) -> VlmClassifier:
        """What asks the model; the key is read from the environment here."""
        chosen = self.chosen
        server = Server.at(self.call.url, chosen.timeout, chosen.retries, chosen.key_env)
        match = matcher(chosen.match, self.space, self.ids, chosen.threshold)
        return VlmClassifier(server, self.call, match, chosen.concurrency, chosen.max_side)

    def classifier(self) -> Classifier:
        """Raise ModelError: there are no logits."""
        raise ModelError(f"{self.text} answers in words and gives no logits; use `snellen eval`")


def prepare_vlm(spec: ModelSpec, space: ClassSpace = IMAGENET_1K, classmap: ClassMap | None = None) -> PreparedVlm:
    """Make the model that `spec` names ready to be asked about images of the classes of `space`.

    space: its classes, unless the spec names others with `classes=FILE`.
    classmap: the classes that take part in a data set: only those are listed in the prompt, and only those matched.

    Raises ModelError for an option that there is not, a value it may not have, a file that cannot be read, a URL that
    holds a key, and a `key_env` that is asked for and not set.
    """
    chosen = read_options(spec)
    assert spec.url is not None
    check_url(spec.url)
    space = given_space(spec.options) or space
    if classmap is not None and classmap.outputs != len(space):
        raise ModelError(f"{classmap.name} maps {classmap.outputs} classes, but {space.name} has {len(space)}")
    ids = [int(i) for i in classmap.taking_part] if classmap else list(range(len(space)))
    names = read_prompts({"classnames": chosen.classnames, "templates": "single"}, space).names
    space = replace(space, synonyms=tuple((n, *words) for n, words in zip(names, space.synonyms, strict=True)))
    matcher(chosen.match, space, [])  # a way that there is not is an error now
    prompt, kind = _prompt(chosen.prompt, shown_names(space, ids))
    sampling = {name: getattr(chosen, name) for name in SAMPLING if getattr(chosen, name) is not None}
    call = Call(spec.url, spec.name, prompt, sampling)
    used = [(i, space.keys[i], space.synonyms[i]) for i in ids]
    card = ModelCard(
        source=spec.source,
        weights=_digest([spec.url, spec.name, PICTURE_RULE, MATCHING_RULE]),
        view_size=0,
        own=OwnTransform(chosen.max_side, chosen.max_side, "bicubic", "squash"),
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
        space=space.name,
        keys=space.keys,
        parameters=0,
        embed_dim=0,
        inputs=(("prompt", f"{kind} {_digest(prompt)[:12]}"), ("names", _digest(used)[:12])),
    )
    return PreparedVlm(
        text=_text(spec, chosen),
        card=card,
        backend="chat",
        device="remote",
        precision="served",
        batch_size=chosen.concurrency,
        views_per_s=ANSWERS_PER_S * chosen.concurrency,
        options=_deciding(chosen),
        spec=spec,
        chosen=chosen,
        call=call,
        space=space,
        ids=ids,
    )


def read_options(spec: ModelSpec) -> VlmOptions:
    """The options of a spec, checked; ModelError says which is wrong, and what it may be."""
    known = {f.name: f.default for f in fields(VlmOptions)}
    values: dict[str, Any] = {}
    for name, value in spec.options.items():
        if name not in known:
            raise ModelError(f"{spec.source} takes no option {name!r}; it takes {', '.join(known)}")
        values[name] = _checked(name, value)
    key_env = values.get("key_env")
    if key_env and not os.environ.get(key_env, "").strip():
        # What was given is not repeated: it may be the key itself.
        raise ModelError("key_env= names a variable that the environment lacks; export it with the server's key")
    return VlmOptions(**values)


def _checked(name: str, value: Any) -> Any:
    if value is None and name in LEFT_OUT:
        return None
    if name not in RANGES:
        return str(value)
    low, high = RANGES[name]
    number = isinstance(value, int if name in WHOLE else int | float) and not isinstance(value, bool)
    if not number or not low <= value <= high:
        what = "a whole number" if name in WHOLE else "a number"
        raise ModelError(
            f"{name}={value}: expected {what} from {low:g} to {high:g}" + (" or none" if name in LEFT_OUT else "")
        )
    return value if name in WHOLE else float(value)


def _prompt(choice: str, names: Sequence[str]) -> tuple[str, str]:
    """The whole prompt, and what kind it is."""
    if choice in PROMPTS:
        template, kind = PROMPTS[choice], choice
    else:
        template, kind = "\n".join(lines_of("prompt", choice, "expected closed, free or a text file")).strip(), "file"
        if not template:
            raise ModelError(f"prompt={choice}: the file is empty; write what the model is asked")
    return template.replace("{classes}", "\n".join(names)), kind


def _deciding(chosen: VlmOptions) -> dict[str, Any]:
    """The options that decide answers, without those that the card's inputs and its class space say."""
    said = ("prompt", "classnames", "classes", *FETCHING, *(() if chosen.match == "fuzzy" else ("threshold",)))
    return {name: value for name, value in asdict(chosen).items() if name not in said}


def _text(spec: ModelSpec, chosen: VlmOptions) -> str:
    """The spec's canonical spelling, without what decides nothing: it names the run's directory."""
    defaults = VlmOptions()
    apart = {
        name: value
        for name, value in asdict(chosen).items()
        if name not in FETCHING
        and value != getattr(defaults, name)
        and (name != "threshold" or chosen.match == "fuzzy")
    }
    return replace(spec, options=apart).text


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()
