"""Mining: the images that no zoom of no given classifier gets right, and how they were found."""

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
from numpy.typing import NDArray

from snellen.engine.running import Running, completed
from snellen.errors import UsageError
from snellen.mining.candidates import candidates
from snellen.mining.funnel import Stage, is_hard
from snellen.mining.given import check_needed, open_pools, ready_models
from snellen.mining.leave_one_out import LeftOut, score_without
from snellen.mining.miners import Miners, prior_runs, teach
from snellen.mining.record import Record, finish, new_record, open_hard, refuse
from snellen.places import place
from snellen.redact import redacted, redacted_command

if TYPE_CHECKING:
    from snellen.mining.given import Model


@dataclass(frozen=True)
class Mining:
    """A hard set that was mined.

    path: its folder. record: what mine.json holds. unreadable: data set, image and reason of each that was left out.
    outdated: whether what leaving one miner out told was dropped, as it was of other miners or images.
    """

    path: Path
    record: Record
    unreadable: tuple[tuple[str, str, str], ...]
    outdated: bool = False

    def to_json(self) -> dict[str, Any]:
        """A plain form: mine.json without the classes."""
        told = {name: value for name, value in self.record.items() if name != "keys"}
        return {
            "path": str(self.path),
            **told,
            "unreadable": [list(one) for one in self.unreadable],
            "outdated": self.outdated,
        }


def mine(
    models: "Model | Sequence[Model]" = "embedded/efficientnet_lite0",
    data: str | Path | Sequence[str | Path] = "examples",
    *,
    root: str | Path | None = None,
    labels: str | Path | None = None,
    out: str | Path = "snellen-hard",
    miners_required: int | None = None,
    leave_one_out: bool = False,
    order: Sequence[str | Path] = (),
    **running: Unpack[Running],
) -> Mining:
    """Find the images of data sets that no zoom of no miner gets right; what `out` holds of it is not done again.

    models: the miners, in turn: specs, wildcards or text files of specs, or torch modules, as `evaluate` takes them.
    data: data sets, as `evaluate` takes them; root: as in `study`.
    labels: the label source of all of them; of each its own where None.
    miners_required: how many miners must be wrong at every zoom; all where None. At its turn a miner is shown each
        image that can still be hard, until it is right at a zoom.
    leave_one_out: also mine without each miner in turn, and score it on what the others mine.
    order: runs of the study's zooms to learn from which zooms come first, beside those that `out` holds.
    running: limit (of each data set), precision, device, workers, …; see `snellen.engine.running.Running`.

    A hard set in `out` may be extended: by miners, data sets or a higher limit. Raises RunMismatch where it was mined
    otherwise, UsageError where no image is hard or all are, and what `study` raises; nothing is written over then.

    Method: Taesiri et al., "ImageNet-Hard", arXiv 2304.05538, section 5, but that a view which is right ends an image.
    """
    options = completed("mine", running)
    limit, say, hard = options["limit"], options["report"].status, place(out)
    if limit is not None and limit < 1:
        raise UsageError(f"limit={limit}: expected at least 1 image")
    started, clock = time.time(), time.monotonic()
    teachers = prior_runs(order, hard)
    prepared = ready_models(models, options)
    needed = check_needed(miners_required, len(prepared), leave_one_out)
    pools = open_pools(data, root, labels, prepared[0], options)
    configuration = {
        "miners": [redacted(model.text) for model in prepared],
        "data": [{"spec": redacted(pool.dataset.spec), "labels": pool.source and str(pool.source)} for pool in pools],
        "miners_required": miners_required,
        "limit": limit,
        "precision": options["precision"],
    }
    wanted = new_record(configuration, prepared[0].card.class_space, _utc(started))
    with open_hard(hard, wanted, say) as (before, lock):
        prior = {run.path: teach(run, pools, prepared[0]) for run in teachers}
        miners = Miners(hard, prepared, pools, options, prior)
        there = miners.shown(crops=False) | miners.shown(crops=True)
        stages = miners.funnel(needed)
        found = [_hard_images(miners, number, needed) for number in range(len(pools))]
        if reason := _why_none(miners, stages, found):
            refuse(hard, lock, before, reason)
            raise UsageError(reason)
        known = before.get("leave_one_out")
        again = leave_one_out or (known and before["configuration"] == configuration)
        left_out = score_without(miners, needed) if again else None
        record = {**before, **wanted, **_measured(miners, stages, found, left_out), "miners_required": needed}
        record |= {"created": before["created"], "sessions": before["sessions"]}
        record |= {"order": sorted({*before.get("order", ()), *(redacted(str(run)) for run in order)})}
        record.pop("refused", None)
        shown = miners.shown(crops=False) | miners.shown(crops=True)
        record["views"] = sum(shown.values())
        session = {
            "started": _utc(started),
            "seconds": round(time.monotonic() - clock, 2),
            "views": sum(views for commit, views in shown.items() if commit not in there),
            "command": redacted_command(sys.argv),
        }
        record = finish(hard, lock, before, record, candidates(miners, found), session)
    return Mining(hard, record, _unreadable(miners), bool(known) and left_out is None)


def _utc(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def _hard_images(miners: Miners, place: int, needed: int) -> NDArray[np.bool_]:
    return miners.usable(place) & is_hard(miners.told(place), needed)


def _why_none(miners: Miners, stages: Sequence[Stage], found: Sequence[NDArray[np.bool_]]) -> str:
    """Why there is no hard set, and what to do: no image can be read, is hard, or is not; empty where there is one."""
    hard = sum(int(images.sum()) for images in found)
    usable = sum(int(miners.usable(number).sum()) for number in range(len(found)))
    where = ", ".join(repr(pool.dataset.spec) for pool in miners.pools)
    if not usable:
        return f"no image of {where} can be read; the runs below {str(miners.out)!r} say why"
    if not hard:
        last = next(stage for stage in stages if not stage.left)
        return (
            f"no image of {where} is hard: after {last.miner} none of {usable:,} is left, and no hard set was written; "
            "give more images, or fewer or weaker miners"
        )
    if hard == usable:
        every = f"all {usable:,} images of {where} are hard" if usable > 1 else f"the only image of {where} is hard"
        return (
            f"{every}, and no hard set was written: no miner is of use, or the labels are not those of the images; "
            "`snellen eval` tells"
        )
    return ""


def _measured(
    miners: Miners, stages: Sequence[Stage], found: Sequence[NDArray[np.bool_]], left_out: LeftOut | None
) -> Record:
    """What mine.json says of the work: the funnel, its sources, and of which runs it is made."""
    runs = {str(run.path.relative_to(miners.out)): run for _, run in sorted(miners.runs.items())}
    sources = [
        {
            "spec": redacted(pool.dataset.spec),
            "name": pool.dataset.name,
            "revision": pool.dataset.revision,
            "fingerprint": pool.dataset.fingerprint,
            "labels": pool.source and str(pool.source),
            "images": len(pool),
            "unlabelled": int((~pool.labelled).sum()),
            "unreadable": len(miners.unreadable(number)),
            "hard": int(found[number].sum()),
        }
        for number, pool in enumerate(miners.pools)
    ]
    return {
        "zooms": len(miners.grid(0)),
        "hard": sum(source["hard"] for source in sources),
        "sources": sources,
        "funnel": [stage.to_json() for stage in stages],
        "forwards": sum(stage.forwards for stage in stages),
        "studied": sum(stage.studied for stage in stages),
        "exhaustive": sum(stage.exhaustive for stage in stages),
        "leave_one_out": left_out and left_out.to_json(),
        "fingerprints": {path: run.record["fingerprint"] for path, run in runs.items()},
        "versions": {name: text for run in runs.values() for name, text in run.record.get("versions", {}).items()},
    }


def _unreadable(miners: Miners) -> tuple[tuple[str, str, str], ...]:
    return tuple(
        (pool.dataset.name, pool.dataset.items[image].id, why)
        for number, pool in enumerate(miners.pools)
        for image, why in miners.unreadable(number).items()
    )
