"""Which models really differ: paired tests on the same images, and the groups that no test tells apart."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from string import ascii_letters

import numpy as np
from numpy.typing import ArrayLike, NDArray

# Images counted at once: sums of that many ones are exact in float32, and the matrices stay small.
CHUNK = 1 << 16
# Sets of models that get a letter each; families of near twins can have millions, which nobody could read.
MOST = 200


@dataclass(frozen=True)
class Mcnemar:
    """McNemar's test of two models on the same images.

    only_a, only_b: images that only the first, only the second gets right.
    p: the chance of a split at least this uneven, were both equally good.
    """

    only_a: int
    only_b: int
    p: float


def mcnemar(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> Mcnemar:
    """The exact, two-sided McNemar test of `a` and `b`, bool `[images]`: whether each model is right, pairwise.

    Method: McNemar 1947 with the binomial distribution, as
    `statsmodels.stats.contingency_tables.mcnemar(table, exact=True)`.

    >>> mcnemar(np.array([1, 1, 1, 1, 1, 0], bool), np.array([0, 0, 0, 0, 1, 1], bool))
    Mcnemar(only_a=4, only_b=1, p=0.375)
    """
    if a.shape != b.shape or a.ndim != 1:
        raise ValueError(f"a paired test needs the same images for both models, got shapes {a.shape} and {b.shape}")
    only_a, only_b = int((a & ~b).sum()), int((b & ~a).sum())
    return Mcnemar(only_a, only_b, float(_exact(only_a, only_b)))


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """P-values corrected for their number, in the order given: below a level, the family-wise error stays below it.

    Method: Holm 1979, as `statsmodels.stats.multitest.multipletests(p, method="holm")`.

    >>> holm([0.01, 0.04, 0.03]).round(2).tolist()
    [0.03, 0.06, 0.06]
    """
    p = np.asarray(p_values, np.float64)
    order = np.argsort(p, kind="stable")
    grown = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(grown, 1.0)
    return adjusted


def groups(correct: Mapping[str, NDArray[np.bool_]], level: float = 0.05) -> dict[str, str]:
    """The compact letter display of models: two share a letter if, and only if, no test tells them apart.

    correct: for each model, whether it is right on each image, bool `[images]`, the same images for all.
    level: of the McNemar tests of all pairs, Holm-corrected.

    Returns the letters of each model, best model first. Every largest set of models that cannot be told apart has a
    letter of its own: `a` … `z`, `A` … `Z`, then `(53)`, `(54)`, …; where there are more than 200 such sets, as many
    as it takes for every pair.

    >>> half = np.arange(100) < 50
    >>> groups({"poor": ~half & False, "good": half, "better": half | (np.arange(100) == 60)})
    {'better': 'a', 'good': 'a', 'poor': 'b'}
    """
    if not correct:
        return {}
    if len({row.shape for row in correct.values()}) > 1:
        raise ValueError("models are compared on the same images: their arrays differ in length")
    names = list(correct)
    right = np.stack([correct[name] for name in names])
    order = np.argsort(-right.sum(axis=1), kind="stable")
    names, right = [names[i] for i in order], right[order]
    alike = _p_values(right) >= level
    letters = [""] * len(names)
    for number, clique in enumerate(_cliques(alike)):
        letter = ascii_letters[number] if number < len(ascii_letters) else f"({number + 1})"
        for model in clique:
            letters[model] += letter
    return dict(zip(names, letters, strict=True))


def _exact(only_a: ArrayLike, only_b: ArrayLike) -> NDArray[np.float64]:
    """Two-sided binomial p-values at even odds; by symmetry twice the smaller tail."""
    from scipy.special import bdtr  # here, since every command imports this module and few compare

    few, n = np.minimum(only_a, only_b), np.add(only_a, only_b)
    return np.asarray(np.minimum(1.0, 2 * bdtr(few.astype(np.float64), n, 0.5)))


def _p_values(right: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Holm-corrected p-values of all pairs of rows of `right`, bool `[models, images]`: `[models, models]`."""
    models, images = right.shape
    both = np.zeros((models, models), np.int64)
    for start in range(0, images, CHUNK):
        part = right[:, start : start + CHUNK].astype(np.float32)
        both += (part @ part.T).astype(np.int64)
    only = both.diagonal()[:, None] - both  # only[i, j]: images that i gets right and j does not
    pairs = np.triu_indices(models, 1)
    p = np.ones((models, models))
    p[pairs] = holm(_exact(only[pairs], only.T[pairs]))
    return np.minimum(p, p.T)


def _cliques(alike: NDArray[np.bool_]) -> list[list[int]]:
    """Every largest set of indices that are all alike, by their first members; above `MOST`, enough for every pair."""
    rows = np.packbits(alike & ~np.eye(len(alike), dtype=bool), axis=1, bitorder="little")
    near = [int.from_bytes(row.tobytes(), "little") for row in rows]
    found = list(islice(_largest(near), MOST + 1))
    return sorted(found if len(found) <= MOST else _enough(near))


def _largest(near: Sequence[int]) -> Iterator[list[int]]:
    """Every largest set, where bit j of `near[i]` says that i and j are alike.

    Method: Bron and Kerbosch 1973, with a pivot. What is left to do is a stack, for a set may hold more models than
    Python nests calls: the largest sets that hold `chosen`, more of `open_` and nothing of `closed`.
    """
    stack = [(0, (1 << len(near)) - 1, 0)]
    while stack:
        chosen, open_, closed = stack.pop()
        if not open_:
            if not closed:
                yield _members(chosen)
            continue
        pivot = max(_members(open_ | closed), key=lambda model: (near[model] & open_).bit_count())
        for model in _members(open_ & ~near[pivot]):
            bit = 1 << model
            stack.append((chosen | bit, open_ & near[model], closed & near[model]))
            open_, closed = open_ & ~bit, closed | bit


def _enough(near: Sequence[int]) -> list[list[int]]:
    """Largest sets such that every two models that are alike have one in common, found greedily from the best on."""
    sets, covered = [], [0] * len(near)
    for i, others in enumerate(near):
        for j in [j for j in _members(others) if j > i] or ([] if others else [i]):
            if covered[i] >> j & 1:
                continue
            chosen, open_ = 1 << i | 1 << j, others & (near[j] if j != i else 0)
            while open_:
                best = (open_ & -open_).bit_length() - 1
                chosen, open_ = chosen | 1 << best, open_ & near[best]
            sets.append(_members(chosen))
            for model in sets[-1]:
                covered[model] |= chosen
    return sets


def _members(bits: int) -> list[int]:
    return [i for i, bit in enumerate(bin(bits)[:1:-1]) if bit == "1"]
