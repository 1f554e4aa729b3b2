"""The table of methods from a finished study: accuracy and forward passes, without computing any."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from snellen.analysis.methods import Answered, MethodResults, method_results
from snellen.classifiers.base import ModelCard
from snellen.errors import UsageError
from snellen.files import entries, is_folder
from snellen.places import place
from snellen.store import Run
from snellen.store.find import reading
from snellen.tta.from_run import best_of, merged_from_run, places_in
from snellen.tta.methods import Method, parse_methods
from snellen.tta.policy import first_settled, lead_paths, read_policy

# A study's folder holds runs at OUT/data/model/run; one that holds more folders than this is looked into no further:
# it is a data set with a folder for each class.
DEEP, MOST_FOLDERS = 3, 200


def is_study(path: str | Path) -> bool:
    """Whether a place is a run, or the OUT of a study or a folder in it, told by its run.json."""
    folder = place(path)
    with reading(folder):
        return is_folder(folder) and _holds_run(folder, DEEP)


def _holds_run(folder: Path, deep: int) -> bool:
    inside = entries(folder)
    if any(one.name == "run.json" for one in inside):
        return True
    folders = [one.name for one in inside if one.is_folder]
    return deep > 0 and len(folders) <= MOST_FOLDERS and any(_holds_run(folder / name, deep - 1) for name in folders)


def results_from_study(
    run: Run, methods: Sequence[str], policy: str | Path | None = None, labels: str | None = None
) -> MethodResults:
    """Score methods whose views a study has seen.

    Raises UsageError for those that it cannot answer: views that its grid lacks, merges that need probabilities that
    it did not keep, MEMO.
    """
    held = None if policy is None else read_policy(policy)
    own = ModelCard.from_json(run.record["model"]["card"]).own if "own" in run.record["model"]["card"] else None
    chosen = parse_methods(methods, held, run.grid.size, own)
    answered = {method.name: _named(run, method) for method in chosen}
    return method_results(run, answered, labels, {method.name: method.learned_from for method in chosen})


def _named(run: Run, method: Method) -> Answered:
    """What a method answered; the error says of which one it is."""
    try:
        return _answered(run, method)
    except UsageError as error:
        raise UsageError(f"{method.name}: {error}") from error


def _answered(run: Run, method: Method) -> Answered:
    unknown = np.full(len(run.images), np.nan, np.float32)
    if method.kind == "memo":
        raise UsageError("MEMO adapts the network, which a finished study cannot show; give DATA and -m MODEL instead")
    if method.kind == "merge":
        ids, _ = merged_from_run(run, method.rules, method.merge)
        return Answered(ids[:, 0], np.full(len(ids), len(method.rules), np.int32), unknown, unknown)
    ids, forwards = anytime_from_run(run, method)
    return Answered(ids, forwards, unknown, unknown)


def anytime_from_run(run: Run, method: Method) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """An `anytime` method's best id of each image and the views it took: int32 `[images]` each."""
    zooms = places_in(run, method.rules)
    if not run.keeps_probs:
        raise UsageError(
            f"{str(run.path)!r} kept no probabilities, which anytime needs; make the run again with "
            "`snellen study --keep-probs` in another -o"
        )
    ids, forwards = np.full(len(run.images), -1, np.int32), np.zeros(len(run.images), np.int32)
    for rows, shown in run.probabilities(zooms):
        stops = first_settled(lead_paths(shown, len(method.rules)), method.threshold)
        means = np.cumsum(shown, axis=1)[np.arange(len(shown)), stops - 1] / stops[:, None]
        ids[rows], forwards[rows] = best_of(means.astype(np.float32), run.class_map)[0][:, 0], stops
    return ids, forwards
