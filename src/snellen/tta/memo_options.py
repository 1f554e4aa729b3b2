"""The settings of MEMO, as published and as released. No torch here: the command reads them before it loads a model."""

import math
import re
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from snellen.errors import UsageError

Augment = Literal["rrc", "augmix"]
# Views an image: the text of arXiv 2304.05538 says 16, its released code takes 64.
PRESETS = {"paper": 16, "released": 64}
# A step holds all views of an image at once: more than any machine's memory takes.
MOST_VIEWS = 1 << 14
SETTINGS = "preset=paper|released, k=16, lr=0.00025, prior=16|none, scale=0.08:1, flip=yes|no, seed=0"


@dataclass(frozen=True)
class MemoOptions:
    """How a network is adapted to one image, and then forgets it.

    augment: `rrc`, a random resized crop a view; `augmix`, such a crop mixed with three chains of changed copies.
    views: augmented views an image, K.
    lr: step size of the one gradient step.
    prior_strength: N, where batch norm takes N / (N + 1) of the stored statistics and 1 / (N + 1) of the batch's;
        None = the stored ones alone.
    scale: smallest and largest share of the image's area that a crop covers.
    flip: mirror each view with probability 1/2.
    seed: with the image's key it decides every random choice.

    Raises UsageError for values that make no sense.
    """

    augment: Augment = "rrc"
    views: int = 16
    lr: float = 0.00025
    prior_strength: float | None = 16
    scale: tuple[float, float] = (0.08, 1.0)
    flip: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if self.augment not in get_args(Augment):
            raise UsageError(f"unknown augmentation {self.augment!r}; expected {' or '.join(get_args(Augment))}")
        if not 1 <= self.views <= MOST_VIEWS:
            raise UsageError(
                f"k={self.views}: {self.views} augmented views an image; expected 1 to {MOST_VIEWS}, the paper's are 16"
            )
        if not 0 <= self.lr < math.inf:
            raise UsageError(f"lr={self.lr}: expected a number from 0 on, the published one is 0.00025")
        if self.prior_strength is not None and not 0 <= self.prior_strength < math.inf:
            raise UsageError(f"prior={self.prior_strength}: expected a number from 0 on, the published one is 16")
        if not 0 < self.scale[0] <= self.scale[1] <= 1:
            raise UsageError(
                f"crops of {self.scale[0]} to {self.scale[1]} of the area; expected 0 < smallest <= largest <= 1"
            )


def memo_preset(name: str = "paper", augment: Augment = "rrc") -> MemoOptions:
    """The published settings of an augmentation: `paper` (16 views) or `released` (64); UsageError for other names.

    Both share lr 0.00025, prior strength 16 and crops of 8 to 100 % of the area. Random resized crops are published
    without flips; the AugMix-like baseline flips.

    >>> memo_preset("released").views, memo_preset("paper", "augmix").flip
    (64, True)
    """
    if name not in PRESETS:
        raise UsageError(f"unknown MEMO preset {name!r}; expected {' or '.join(PRESETS)}")
    return MemoOptions(augment, PRESETS[name], flip=augment == "augmix")


def parse_memo(text: str) -> MemoOptions:
    """The settings of a method as text: `memo-rrc` or `memo-augmix`, then settings, then perhaps `+flip`.

    Settings: `preset` (paper where there is none), and in its place `k`, `lr`, `prior`, `scale`, `flip`, `seed`.
    Raises UsageError for anything else.

    >>> parse_memo("memo-rrc,preset=released,prior=none+flip")
    MemoOptions(augment='rrc', views=64, lr=0.00025, prior_strength=None, scale=(0.08, 1.0), flip=True, seed=0)
    """
    found = re.fullmatch(r"memo-(rrc|augmix)((?:,[a-z]+=[^,+]+)*)(\+flip)?", text)
    if not found:
        raise UsageError(f"method {text!r}: expected memo-rrc or memo-augmix, with settings as in memo-rrc,{SETTINGS}")
    settings = found[2].split(",")[1:]
    given = dict(setting.split("=", 1) for setting in settings)
    if len(given) < len(settings):
        raise UsageError(f"method {text!r}: a setting is given twice; give it once")
    changes: dict[str, Any] = {}
    try:
        options = memo_preset(given.pop("preset", "paper"), "rrc" if found[1] == "rrc" else "augmix")
        for name, value in given.items():
            key, changed = _setting(name, value)
            changes[key] = changed
        return replace(options, **(changes | ({"flip": True} if found[3] else {})))
    except KeyError as error:
        raise UsageError(f"method {text!r}: unknown setting {name!r}; expected {SETTINGS}") from error
    except ValueError as error:
        raise UsageError(f"method {text!r}: {name}={value} makes no sense; expected {SETTINGS}") from error
    except UsageError as error:
        raise UsageError(f"method {text!r}: {error}") from error


def _setting(name: str, value: str) -> tuple[str, Any]:
    if name == "k":
        return "views", int(value)
    if name == "seed":
        return "seed", int(value)
    if name == "lr":
        return "lr", float(value)
    if name == "prior":
        return "prior_strength", None if value == "none" else float(value)
    if name == "scale":
        low, high = value.split(":")
        return "scale", (float(low), float(high))
    if name == "flip":
        return "flip", ("no", "yes").index(value) == 1
    raise KeyError(name)
