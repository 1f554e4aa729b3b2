"""The methods of `snellen tta`, as text: what each looks at and how it answers."""

import difflib
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Literal

from snellen.classifiers.base import OwnTransform
from snellen.errors import UsageError
from snellen.tta.memo_options import parse_memo
from snellen.tta.merge import Merge, parse_merge
from snellen.tta.policy import Policy, check_size
from snellen.tta.views import view_set
from snellen.zoom.grid import WINDOW, Grid, ViewRule

MEAN = Merge("mean")
MEMO = ("memo-augmix", "memo-rrc")
CROPS = ("center", "1crop", "own", "5crop", "10crop")
MERGE_WORDS = ("mean", "max", "gmean", "vote", "confident-k (any k: confident-8)", "zero")
FORMS = "center, 1crop, own, 5crop, 10crop, MERGE:VIEWS (mean:paper:in), anytime, memo-augmix or memo-rrc"


@dataclass(frozen=True)
class Method:
    """One way to answer an image.

    name: as given, which is what files and tables call it; of memo it holds the settings.
    kind: `merge` looks at every one of `rules`; `anytime` at the first few; `memo` adapts the network first.
    rules: the views; of memo the one that is predicted on.
    merge: how the views become one answer; the mean where `kind` is `anytime`.
    threshold: of the policy.
    learned_from: the images that its views or its rule were learned from, as `analysis/learned.py` joins them.
    """

    name: str
    kind: Literal["merge", "anytime", "memo"]
    rules: tuple[ViewRule, ...]
    merge: Merge = MEAN
    threshold: float = 0.0
    learned_from: str = ""

    def to_json(self) -> dict[str, Any]:
        """A plain form, from which a worker process makes the same method."""
        plain = {"rules": Grid(self.name, self.rules).to_json(), "merge": str(self.merge)}
        return asdict(self) | plain

    @staticmethod
    def from_json(record: dict[str, Any]) -> "Method":
        """The method that `to_json` described."""
        rules, merge = Grid.from_json(record["rules"]).rules, parse_merge(record["merge"])
        return Method(**(record | {"rules": rules, "merge": merge}))


def parse_methods(
    texts: Sequence[str], policy: Policy | None = None, size: int = WINDOW, own: OwnTransform | None = None
) -> list[Method]:
    """The methods that texts name, each once, in the order given.

    A method is one of the crops (`center`, `1crop`, `own`, `5crop`, `10crop`: the mean of their views), `MERGE:VIEWS`
    with a merge of `tta/merge.py` and views of `tta/views.py`, `anytime` (which needs a policy), `memo-augmix` or
    `memo-rrc` with options (`memo-rrc,k=16`); each with or without `+flip`.

    size: of the views that the model is shown, in pixels; own: its own transform.
    Raises UsageError for anything else.

    >>> [method.name for method in parse_methods(["center", "vote:5crop+flip", "center"])]
    ['center', 'vote:5crop+flip']
    """
    if not texts:
        raise UsageError(f"no method; expected {FORMS}")
    return [_method(text, policy, size, own) for text in dict.fromkeys(texts)]


def _method(text: str, policy: Policy | None, size: int, own: OwnTransform | None) -> Method:
    views = partial(view_set, size=size, own=own)
    base = text.removesuffix("+flip")
    head, colon, rest = text.partition(":")
    if base in CROPS:
        return _merge(text, views(text).rules, MEAN)
    if base == "anytime":
        return _anytime(text, policy, size)
    if is_memo(text):
        parse_memo(text)
        return Method(text, "memo", views("center").rules)
    if colon and _is_merge(head):
        merge, found = parse_merge(head), views(rest)
        return _merge(text, found.rules, merge, found.images)
    if colon and head != "paper":
        raise UsageError(f"method {text!r}: unknown merge {head!r}; expected {', '.join(MERGE_WORDS)}")
    near = difflib.get_close_matches(base, [*CROPS, *MEMO, "anytime"], n=1, cutoff=0.6)
    hint = f"did you mean {near[0]}? " if near else ""
    raise UsageError(f"unknown method {text!r}; {hint}expected {FORMS}, each with or without +flip")


def check_method(text: str, policy: Policy | None = None) -> None:
    """Raise UsageError where `text` names no method, as far as that can be told before a model is loaded."""
    if "@" not in text:  # a run's views are of the model's size or not
        size = policy.grid.size if policy else WINDOW
        _method(text, policy, size, OwnTransform(size, size, "bicubic"))


def is_memo(text: str) -> bool:
    """Whether a method adapts the network, and so needs gradients."""
    return re.split("[,+]", text)[0] in MEMO


def _is_merge(text: str) -> bool:
    try:
        parse_merge(text)
    except UsageError:
        return False
    return True


def _merge(text: str, rules: tuple[ViewRule, ...], merge: Merge, learned: str = "") -> Method:
    merge.check(len(rules))
    return Method(text, "merge", rules, merge, learned_from=learned)


def _anytime(text: str, policy: Policy | None, size: int) -> Method:
    if policy is None:
        raise UsageError("anytime needs a policy: give --policy FILE, which `snellen fit RUN -o FILE` makes")
    if text.endswith("+flip"):
        raise UsageError("anytime+flip: a policy says itself which views are mirrored; give anytime")
    check_size(policy, size)
    return Method(text, "anytime", policy.rules, threshold=policy.threshold, learned_from=policy.learned_from)
