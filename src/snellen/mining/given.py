"""What `mine` is given, made ready and checked before anything is shown."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from snellen.classifiers import Prepared, expand_models
from snellen.datasets import expand_data, label_source, open_dataset
from snellen.engine.names import model_name
from snellen.engine.running import Running, prepare_model
from snellen.errors import DataError, ModelError, UsageError
from snellen.mining.outcomes import Pool

if TYPE_CHECKING:
    import torch

    Model = str | torch.nn.Module


def ready_models(models: "Model | Sequence[Model]", running: Running) -> list[Prepared]:
    """The miners, each once, in the order given.

    Raises ModelError where one is none, answers in words, or has other classes than the first; UsageError for none, for
    two of one name, whose runs would lie in one folder, and for the same network twice, which would count as two.
    """
    several = [models] if isinstance(models, str) or not isinstance(models, Sequence) else list(models)
    expanded = [one for model in several for one in (expand_models(model) if isinstance(model, str) else [model])]
    ready: list[Prepared] = []
    for model in dict.fromkeys(expanded):
        # The options of a module are not for the specs beside it.
        its: Running = (
            running if not isinstance(model, str) else {**running, "mean": None, "std": None, "classes": None}
        )
        ready.append(prepare_model(model, its))
    if not ready:
        raise UsageError("nothing to mine with: give at least one model")
    first = ready[0].card.class_space
    for one in ready:
        if one.generative:
            raise ModelError(f"{one.text} answers in words; mine with models that give logits, and score it afterwards")
        if one.card.class_space.fingerprint != first.fingerprint:
            raise ModelError(
                f"{one.text} has {len(one.card.class_space)} classes of {one.card.class_space.name}, {ready[0].text} "
                f"has {len(first)} of {first.name}: the miners of a hard set have the same classes"
            )
    for place, one in enumerate(ready):
        for other in ready[:place]:
            if model_name(one.text) == model_name(other.text):
                raise UsageError(
                    f"two miners are called {one.text}: a module is named by its class; give each a class of its own"
                )
            if _network(one) == _network(other):
                raise UsageError(f"{one.text} and {other.text} are the same network, which counts once; leave one out")
    return ready


def _network(miner: Prepared) -> object:
    """What decides the answers of a miner, of whatever name: its weights and options."""
    return replace(miner.card, source="", notes=(), probe=())


def check_needed(needed: int | None, miners: int, leave_one_out: bool) -> int:
    """How many miners must fail on a hard image; UsageError where there are fewer, or none can be left out."""
    if needed is not None and not 1 <= needed <= miners:
        raise UsageError(f"--miners-required {needed}: expected 1 … {miners}, as there are {miners} miners (-m)")
    if leave_one_out and miners < 2:
        raise UsageError("--leave-one-out needs at least two miners (-m): without the only one nothing is mined")
    return miners if needed is None else needed


def open_pools(
    data: str | Path | Sequence[str | Path],
    root: str | Path | None,
    labels: str | Path | None,
    miner: Prepared,
    running: Running,
) -> list[Pool]:
    """The images of each data set; DataError where two have an image of one origin and id, which are its name."""
    sets = [data] if isinstance(data, str | Path) else list(data)
    names = [name for one in sets for name in (expand_data(one) if isinstance(one, str) else [one])]
    if not names:
        raise UsageError("nothing to mine: give at least one data set")
    pools: list[Pool] = []
    seen: dict[str, Pool] = {}
    for name in dict.fromkeys(names):
        running["report"].status(f"opening {name}")
        source = label_source(name) if labels is None else labels
        pool = Pool.of(open_dataset(name, root), source, running["limit"], miner.card.class_space)
        for number, key in enumerate(pool.keys):
            if seen.setdefault(key, pool) is not pool:
                raise DataError(
                    f"{seen[key].dataset.spec!r} and {pool.dataset.spec!r} both have an image "
                    f"{pool.dataset.items[number].id!r} of {pool.dataset.origin(number)!r}: nothing tells them apart; "
                    "give one of the data sets, or rename a folder"
                )
        pools.append(pool)
    return pools
