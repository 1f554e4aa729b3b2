"""Test-time methods over a data set: what `snellen tta` does."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from snellen.classifiers.backends import CONVERTED
from snellen.classifiers.base import ModelCard
from snellen.datasets import open_dataset
from snellen.engine.plan import Work
from snellen.engine.running import Running, completed, prepare_model
from snellen.errors import ModelError
from snellen.places import place
from snellen.store import Run
from snellen.study import show
from snellen.tta.memo_options import parse_memo
from snellen.tta.methods import Method, check_method, is_memo, parse_methods
from snellen.tta.policy import Policy, read_policy
from snellen.tta.views import union
from snellen.zoom.grid import Grid

if TYPE_CHECKING:
    import torch

LOADER = "snellen.tta.worker:load_worker"
# What one view of a gradient step costs, in views of a converted network: measured, MobileNetV2 on a CPU.
STEP = 16


def tta(
    model: "str | torch.nn.Module" = "embedded/efficientnet_lite0",
    data: str | Path = "examples",
    methods: Sequence[str] = ("center",),
    *,
    policy: str | Path | Policy | None = None,
    root: str | Path | None = None,
    labels: str | Path | None = None,
    out: str | Path = "snellen-out",
    **running: Unpack[Running],
) -> Run:
    """Answer every image of a data set by every method, in one pass; a run that `out` holds part of is completed.

    methods: as `tta/methods.py` reads them (`center`, `mean:paper:in`, `anytime`, `memo-rrc,k=16`, …).
    policy: of `anytime`, or the file that holds it.
    The others are those of `study`. Methods share decoded images and views; each method's row still says what it
    would have cost alone. MEMO runs in PyTorch whatever backend computes the views.

    Raises UsageError for a method that is none, ModelError where the backend asked for has no gradients but MEMO needs
    them, and what `study` raises.
    """
    options = completed("tta", running)
    report = options["report"]
    held = policy if isinstance(policy, Policy) or policy is None else read_policy(policy)
    memo = [text for text in methods if is_memo(text)]
    if memo and options["backend"] in CONVERTED:
        raise ModelError(
            f"{memo[0]} needs gradients, which the {options['backend']} backend lacks; leave --backend out, or give "
            "--backend torch"
        )
    if memo and options["precision"] in ("fp16", "int8"):
        raise ModelError(f"{memo[0]}: gradients are lost in {options['precision']}; use --precision fp32 or bf16")
    for text in methods:  # a wrong one is cheaper to find than a model is to prepare
        check_method(text, held)
    if memo and not isinstance(model, str):
        # Only the object itself has gradients: its converted form does not lead back to it.
        options["backend"] = "torch"
    report.status(f"opening {data}")
    dataset = open_dataset(data, root)

    def methods_of(card: ModelCard) -> list[Method]:
        return parse_methods(methods, held, card.view_size, card.own)

    prepared = prepare_model(model, options, check=methods_of)  # a policy of another size costs no conversion
    chosen = methods_of(prepared.card)
    work = Work(LOADER, [method.to_json() for method in chosen], _cost(chosen))
    if memo and prepared.device == "cpu":
        report.status("MEMO: each worker compiles the step before its first image, which may take a minute or more")
    return show(dataset, prepared, _grid(chosen), place(out), options, labels=[labels], work=work)


def _grid(methods: Sequence[Method]) -> Grid:
    """Every view of every method; its name, and so the run's directory, is of these methods alone."""
    text = json.dumps([method.to_json() for method in methods])
    return union([method.rules for method in methods], f"tta-{hashlib.sha256(text.encode()).hexdigest()[:6]}")[0]


def _cost(methods: Sequence[Method]) -> int:
    """What an image takes at most, in views of a converted network."""
    views = union(method.rules for method in methods if method.kind != "memo")[0]
    steps = sum(parse_memo(method.name).views for method in methods if method.kind == "memo")
    return max(1, len(views) + STEP * steps)
