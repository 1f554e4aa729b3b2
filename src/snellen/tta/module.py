"""Zooms at test time as a torch module: images at source resolution in, one merged answer each out."""

from collections.abc import Sequence
from numbers import Integral
from typing import Any

import torch
from PIL import Image

from snellen.classifiers.base import OwnTransform
from snellen.classifiers.borrowed import evaluating
from snellen.errors import UsageError
from snellen.tta.explain import Explanation, Vote
from snellen.tta.given import as_pictures, device_of, given_model
from snellen.tta.merge import Merge, kept_views, merged, parse_merge
from snellen.tta.methods import is_memo
from snellen.tta.policy import Policy, check_size, read_policy
from snellen.tta.views import view_set
from snellen.zoom.grid import Grid, ViewRule
from snellen.zoom.render import UnreadableImage, render

# Views in one forward pass where nothing else is said.
BATCH = 32


class ZoomTTA(torch.nn.Module):
    """A classifier that looks at several zooms of every image; a drop-in `nn.Module`.

    model: a spec (`timm/NAME`, `embedded/NAME`, `FILE.py:FUNCTION`, …), or a module that maps normalised views
        `[n, 3, size, size]` to logits `[n, classes]`.
    views: what `tta/views.py` names (`paper:in`, `top36@RUN`, `5crop+flip`, …), a `Grid`, or a `Policy` (or its
        file, which ends in `.json`): then views are looked at one after another until the answer is settled.
    merge: `mean`, `max`, `gmean`, `vote`, `confident-k` (confident-8) or `zero`; a policy's is the mean.
    budget: at most so many views an image, all where None. Of views that stand in an order (`top36@RUN`, a grid, a
        policy) the first are taken, of others a spread over their scales and anchors (`tta/views.py`). What a policy
        says of its error rate holds without a budget only.
    mean, std: of the module's views, RGB in 0 … 1; those of its `pretrained_cfg` (timm) or ImageNet's where None.
    size: side of the views in pixels; 224 where the network accepts it, else its own.
    classes: names of the classes, for `explain`; ImageNet's where there are a thousand.
    batch_size: views in one forward pass.

    `forward` takes PIL images, uint8 arrays `[height, width, 3]`, uint8 tensors `[3, height, width]`, or a list of
    such (or a batch as one tensor), all at source resolution: a zoom reaches their own pixels. It returns
    log-probabilities `[images, classes]`, float32, on the network's device: the logarithm of the merged scores, which
    `max` alone scales to sum to 1. The module may be moved, cast, run under autocast or compiled like any other; views
    are cut on the CPU, outside of any graph. A module that is given is the very one that runs: in evaluation mode, and
    afterwards in the mode it was in. Moving or casting the `ZoomTTA`, or setting its mode, does the same to it; nothing
    else changes it.

    Raises UsageError for views, merges and images that are none, ModelError for a model that cannot be run.

    >>> network = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())  # classes: red, green, blue
    >>> tta = ZoomTTA(network, "5crop", mean=0.5, std=0.5, classes=["red", "green", "blue"])
    >>> tta(Image.new("RGB", (300, 260), "green")).argmax().item()
    1
    """

    def __init__(
        self,
        model: "str | torch.nn.Module",
        views: "str | Grid | Policy" = "paper:in",
        merge: str = "mean",
        budget: int | None = None,
        *,
        mean: Sequence[float] | float | None = None,
        std: Sequence[float] | float | None = None,
        size: int | None = None,
        classes: Sequence[str] | None = None,
        batch_size: int = BATCH,
    ) -> None:
        super().__init__()
        for name, value in (("budget", budget), ("batch_size", batch_size)):
            if value is not None and not _is_count(value):
                raise UsageError(f"{name}={value!r}: expected a whole number of views, at least 1")
        self._merge = parse_merge(merge)
        self.policy = _policy(views, self._merge)  # first: it loads no model
        given = given_model(model, mean, std, classes, size)
        self.size, self.names, self.network = given.size, given.names, given.module
        self.mean: torch.Tensor
        self.std: torch.Tensor
        device = device_of(given.module)
        self.register_buffer("mean", torch.tensor(given.mean, device=device).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(given.std, device=device).view(1, 3, 1, 1), persistent=False)
        self.rules = self.policy.rules[:budget] if self.policy else _rules(views, self.size, given.own, budget)
        if self.policy:
            check_size(self.policy, self.size)
        elif any(rule.size != self.size for rule in self.rules):
            raise UsageError(f"the views are {self.rules[0].size} pixels wide, but the model is shown {self.size}")
        self._merge.check(len(self.rules))
        self.batch_size = batch_size
        self.training = given.module.training

    def forward(self, images: Any) -> torch.Tensor:
        """Log-probabilities `[images, classes]` of one image or several at source resolution."""
        pictures = as_pictures(images)
        if not pictures:
            return torch.empty(0, len(self.names), device=self.mean.device)
        with evaluating(self.network):
            scores, _ = self._settle(pictures) if self.policy else self._all(pictures)
        return _log(scores, self._merge)

    def explain(self, image: Any) -> Explanation:
        """What each view that was looked at says of one image, and the merged answer."""
        pictures = as_pictures(image)
        if len(pictures) != 1:
            raise UsageError(f"explain: {len(pictures)} images; give one")
        with torch.no_grad(), evaluating(self.network):
            scores, probs = self._settle(pictures) if self.policy else self._all(pictures)
            total = _log(scores, self._merge).exp()[0]
        answer, seen = int(total.argmax()), probs[0]
        kept = kept_views(seen[None], self._merge)
        counting = set(range(len(seen)) if kept is None else kept[0].tolist())
        votes = tuple(
            Vote(rule, self.names[k], float(row[k]), k == answer, place in counting)
            for place, (rule, row, k) in enumerate(zip(self.rules, seen, seen.argmax(1).tolist(), strict=False))
        )
        return Explanation(self.names[answer], float(total[answer]), votes, str(self._merge))

    def _probs(self, views: torch.Tensor) -> torch.Tensor:
        """Probabilities, float32 `[n, classes]`, of uint8 views `[n, size, size, 3]`."""
        logits = []
        for part in torch.split(views, self.batch_size):
            pixels = part.to(self.mean.device).permute(0, 3, 1, 2).float() / 255
            normalised = (pixels - self.mean.float()) / self.std.float()
            logits.append(self.network(normalised.to(self.mean.dtype)))  # of the network, where that was cast
        return torch.cat(logits).float().softmax(1)

    def _all(self, pictures: Sequence[Image.Image]) -> tuple[torch.Tensor, torch.Tensor]:
        """Merged scores `[images, classes]`, and the views' probabilities `[images, views, classes]`."""
        together = max(1, self.batch_size // len(self.rules))  # images with few views share a pass
        probs = []
        for start in range(0, len(pictures), together):
            group = pictures[start : start + together]
            views = torch.cat([_cut(picture, self.rules) for picture in group])
            probs.append(self._probs(views).reshape(len(group), len(self.rules), -1))
        found = torch.cat(probs)
        return _merged(found, self._merge), found

    def _settle(self, pictures: Sequence[Image.Image]) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """The same, with each image's views as far as it was shown: one round a view, over images under way."""
        assert self.policy is not None
        open_ = list(range(len(pictures)))
        shown: list[list[torch.Tensor]] = [[] for _ in pictures]
        totals: list[torch.Tensor] = [torch.zeros(len(self.names), device=self.mean.device)] * len(pictures)
        for k, rule in enumerate(self.rules, 1):
            views = torch.cat([_cut(pictures[i], (rule,)) for i in open_])
            for i, row in zip(open_, self._probs(views), strict=True):
                shown[i].append(row)
                totals[i] = totals[i] + row
            settled = _settled(self.policy, torch.stack([totals[i] for i in open_]), k)
            open_ = [i for i, done in zip(open_, settled, strict=True) if not done]
            if not open_:
                break
        scores = torch.stack([total / len(rows) for total, rows in zip(totals, shown, strict=True)])
        return scores, [torch.stack(rows) for rows in shown]


def _is_count(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= 1


def _policy(views: "str | Grid | Policy", merge: Merge) -> Policy | None:
    if isinstance(views, str) and views.endswith(".json+flip"):
        raise UsageError(f"views {views!r}: a policy says itself which views are mirrored; leave +flip out")
    if isinstance(views, str) and views.endswith(".json"):
        views = read_policy(views)
    if not isinstance(views, Policy):
        return None
    if merge.name != "mean":
        raise UsageError(f"merge={str(merge)!r}: a policy settles the mean of its views; leave merge out")
    return views


def _rules(
    views: "str | Grid | Policy", size: int, own: OwnTransform | None, budget: int | None
) -> tuple[ViewRule, ...]:
    if isinstance(views, str) and is_memo(views):
        raise UsageError(
            f"views {views!r}: MEMO adapts the network, which is no set of views; `snellen tta --method {views}` does "
            "it, and in Python snellen.tta.memo.Memo"
        )
    if isinstance(views, str):
        found = view_set(views, size, own)
        return found.rules if budget is None else found.at_most(budget)
    if not isinstance(views, Grid) or not len(views):
        raise UsageError(f"views={views!r}: expected a name such as 'paper:in', a Grid with views, or a Policy")
    return views.rules[:budget]


@torch.compiler.disable  # type: ignore[untyped-decorator]
def _cut(picture: Image.Image, rules: Sequence[ViewRule]) -> torch.Tensor:
    """Views of an image, uint8 `[rules, size, size, 3]`; Pillow's work, which no compiler may look into."""
    try:
        return torch.from_numpy(render(picture, rules))
    except UnreadableImage as error:
        raise UsageError(str(error)) from error


@torch.compiler.disable  # type: ignore[untyped-decorator]
def _merged(probs: torch.Tensor, merge: Merge) -> Any:
    """`merged`, whose look at the kind of array would cost a compiler more than it gains."""
    return merged(probs, merge)


@torch.compiler.disable  # type: ignore[untyped-decorator]
def _settled(policy: Policy, total: torch.Tensor, k: int) -> list[bool]:
    """Which answers are settled after `k` views: numbers that decide what runs next, so no part of a graph."""
    return [bool(done) for done in policy.settled(total, k)]


def _log(scores: torch.Tensor, merge: Merge) -> torch.Tensor:
    logs = torch.log(scores)
    return logs - logs.logsumexp(1, keepdim=True) if merge.name == "max" else logs
