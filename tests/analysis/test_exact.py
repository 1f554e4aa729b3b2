"""The exact cover against the enumeration of every set of zooms."""

import os
import subprocess
import sys
import time
from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra.numpy import array_shapes, arrays

from snellen.analysis import exact
from snellen.analysis.cover import greedy_cover
from snellen.analysis.exact import exact_cover, without_superfluous

matrices = arrays(bool, array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=7))


def covers(correct, zooms):
    return correct[:, list(zooms)].any(axis=1).sum() == correct.any(axis=1).sum()


def smallest(correct):
    """The least size of a cover, by trying all sets of zooms."""
    sizes = range(correct.shape[1] + 1)
    return next(k for k in sizes for zooms in combinations(range(correct.shape[1]), k) if covers(correct, zooms))


def consistent(found, correct):
    assert covers(correct, found.zooms)
    assert found.size == len(found.zooms) == len(set(found.zooms))
    assert list(found.zooms) == sorted(found.zooms)
    assert found.gap == found.size - found.lower_bound >= 0
    assert found.optimal == (found.gap == 0)
    assert found.lower_bound <= found.size <= len(greedy_cover(correct))


@settings(max_examples=25)  # half of them start the solver
@given(matrices)
def test_equals_enumeration(correct):
    found = exact_cover(correct, 30)
    consistent(found, correct)
    assert (found.size, found.optimal) == (smallest(correct), True)


@given(matrices)
def test_bounds_hold_without_the_solver(correct):
    best = smallest(correct)
    found = exact_cover(correct, 0)
    consistent(found, correct)
    assert found.lower_bound <= best <= found.size


@given(matrices)
def test_reductions_keep_the_minimum(correct):
    forced, core, zooms = exact._reduce(correct, time.monotonic() + 60)
    assert core.shape[1] == len(zooms)
    assert len(forced) + smallest(core) == smallest(correct)
    sizes = core.sum(axis=1)
    assert (sizes > 1).all(), "an image of one zoom forces it"
    for row, other in product(range(len(core)), repeat=2):
        assert row == other or not (core[row] <= core[other]).all(), "no image is superfluous"
    for zoom, other in product(range(len(zooms) if len(core) else 0), repeat=2):
        assert zoom == other or not (core[:, zoom] <= core[:, other]).all(), "no zoom is replaceable"


@given(matrices)
def test_without_superfluous(correct):
    cover = without_superfluous(correct, greedy_cover(correct))
    assert covers(correct, cover)
    assert not any(covers(correct, [zoom for zoom in cover if zoom != left_out]) for left_out in cover)


def sparse(images, zooms, each, seed=0):
    """Images that `each` zooms get right."""
    order = np.argsort(np.random.default_rng(seed).random((images, zooms)), axis=1)
    correct = np.zeros((images, zooms), bool)
    np.put_along_axis(correct, order[:, :each], True, axis=1)
    return correct


@pytest.mark.parametrize("seed", range(3))
def test_beyond_reductions(seed):
    """Nothing can be reduced here, so that the answer is the solver's."""
    correct = sparse(40, 14, 3, seed)
    found = exact_cover(correct, 60)
    consistent(found, correct)
    assert (found.size, found.optimal) == (smallest(correct), True)


@pytest.mark.parametrize(
    ("correct", "size"),
    [
        (np.zeros((0, 324), bool), 0),
        (np.zeros((50, 0), bool), 0),
        (np.zeros((50, 324), bool), 0),
        (np.ones((50, 324), bool), 1),
        (np.eye(324, dtype=bool), 324),
    ],
)
def test_the_ends(correct, size):
    found = exact_cover(correct)
    consistent(found, correct)
    assert (found.size, found.optimal) == (size, True)
    assert found.seconds < 5


def test_order_decides_nothing_but_which():
    correct = sparse(40, 20, 3)
    rng = np.random.default_rng(1)
    shuffled = exact_cover(correct[rng.permutation(40)][:, rng.permutation(20)])
    assert shuffled.size == exact_cover(np.repeat(correct, 3, axis=0)).size


def test_the_time_limit_holds_where_no_proof_is_found():
    correct = sparse(2000, 324, 6)
    for limit in (4, 16, 64):  # on a busy machine the solver comes late to its first bound
        start = time.monotonic()
        found = exact_cover(correct, limit)
        assert time.monotonic() - start < limit + 8
        consistent(found, correct)
        assert not found.optimal
        if found.lower_bound >= 54:
            break
    assert found.lower_bound >= 54, "each zoom counts for at most a sixth of an image that six zooms read"


def test_a_solver_that_never_answers_is_ended(monkeypatch, tmp_path):
    stuck = tmp_path / "stuck.py"
    stuck.write_text(
        "import os, pathlib, signal, time\n"
        f"pathlib.Path({str(tmp_path / 'pid')!r}).write_text(str(os.getpid()))\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        'print(\'{"zooms": null, "bound": 3}\', flush=True)\n'
        "print('{\"zooms\": [0, 1', end='', flush=True)\n"
        "time.sleep(600)\n"
    )
    monkeypatch.setattr(exact, "SOLVER", stuck)
    correct = sparse(300, 40, 3)
    start = time.monotonic()
    found = exact_cover(correct, 3)
    assert time.monotonic() - start < 12
    consistent(found, correct)
    assert found.lower_bound >= 3, "what it said before counts"
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


@pytest.mark.parametrize("answer", ["", "nonsense", '{"zooms": [0], "bound": 1}'])
def test_what_is_no_cover_is_not_believed(monkeypatch, tmp_path, answer):
    script = tmp_path / "wrong.py"
    script.write_text(f"print({answer!r})")
    monkeypatch.setattr(exact, "SOLVER", script)
    correct = sparse(300, 40, 3)
    consistent(exact_cover(correct, 20), correct)


def test_the_solver_imports_nothing_of_snellen():
    code = (
        f"import runpy, sys; runpy.run_path({str(exact.SOLVER)!r}); print([m for m in sys.modules if 'snellen' in m])"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
