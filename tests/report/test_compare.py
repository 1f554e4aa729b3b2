"""The comparison as a reader sees it: the verdict in words, one screen, the numbers of the analysis."""

import io
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from two_runs import runs_of

import snellen
from snellen.analysis.pairs import compare_runs
from snellen.report.compare import p_value, print_pair, verdict
from snellen.zoom import SCALES, Grid, paper_grid

CENTRE = 9 * SCALES.index(256) + 4
N = 60


@pytest.fixture
def compared(make_run, tmp_path):
    """`compared((a, b), (c, d))`: two runs that read the first a and b images at 1-crop, c and d at another zoom."""

    def compare(single, upper, **options):
        zooms = len(options.get("grid", paper_grid()))
        best = np.zeros((2, N, zooms), np.int32)
        for run in range(2):
            best[run, : upper[run], -1] = 1
            best[run, : single[run], CENTRE if zooms > 1 else 0] = 1
        truths = runs_of(make_run, tmp_path, images=N, best=list(best), **options)
        labels = tmp_path / "ones.csv"
        labels.write_text(
            "image_id,labels\n" + "".join(f"folder/{k:03d}.jpg,{truths[0].space.keys[1]}\n" for k in range(N))
        )
        return compare_runs(*(snellen.load_run(truth.path) for truth in truths), str(labels), resamples=200)

    return compare


def printed(pair, width):
    text = io.StringIO()
    console = Console(file=text, width=width)
    print_pair(pair, (Path("out/a"), Path("out/b")), console, resamples=200, seed=0)
    return text.getvalue()


A, B = "model-0 (A)", "model-1 (B)"
WORDS = [
    ((50, 20), (55, 30), [f"{A} is better than {B}: at 1-crop by 50.00 [", "; at the upper bound by 41.67 ["]),
    ((20, 50), (30, 55), [f"{B} is better than {A}: at 1-crop by 50.00 [", "; at the upper bound by 41.67 ["]),
    ((50, 20), (55, 55), [f"{A} is better than {B}: at 1-crop by", "; at the upper bound no test tells them apart ("]),
    ((20, 20), (30, 55), [f"{B} is better than {A}: at the upper bound by", "; at 1-crop no test tells them apart ("]),
    ((30, 10), (30, 55), [f"{A} is better than {B}: at 1-crop by", f"; {B} is better than {A}: at the upper bound by"]),
    (
        (20, 22),
        (30, 31),
        [f"No test tells {A} and {B} apart at 1-crop or at the upper bound: A − B is −3.33 [", "; −1.67 ["],
    ),
]


@pytest.mark.parametrize(("single", "upper", "words"), WORDS)
def test_the_verdict(single, upper, words, compared):
    pair = compared(single, upper)
    text = verdict(pair)
    assert text.startswith(words[0])
    assert words[1] in text
    assert text.count("p < 0.001") + text.count("p = ") == 2
    assert "−0.0" not in text
    first = printed(pair, 400).splitlines()[0]
    assert first == text


def test_the_difference_is_stated_from_the_winners_side(compared):
    pair = compared((20, 50), (30, 55))
    row = pair.differences[0]
    assert row.value < 0
    gain = f"by 50.00 [{-100 * row.high:.1f}, {-100 * row.low:.1f}] points, p < 0.001"
    assert gain in verdict(pair)


@pytest.mark.parametrize("width", [80, 100, 160])
def test_one_screen(width, compared):
    pair = compared((50, 20), (55, 30))
    text = printed(pair, width)
    lines = text.splitlines()
    assert max(map(len, lines)) <= width
    if width >= 100:
        assert len(lines) <= 45
        for row in pair.differences:
            line = next(line for line in lines[lines.index("") :] if line.strip().startswith(row.what))
            assert f"{100 * row.a.value:.2f} [{100 * row.a.low:.1f}, {100 * row.a.high:.1f}]" in line
            assert line.split()[-2] == f"{row.test.only_a}/{row.test.only_b}"
    words = " ".join(text.split())
    assert "On the same 60 images of made-up-data" in words
    for number in (f"kappa {pair.consistency['1-crop'].kappa:.2f}", f"both {pair.hard.both} of 60", "Centre bias"):
        assert number in words
    assert "Holm-corrected over 6 rows" in words
    assert "…" not in text


def test_a_benchmark_run_has_no_rows_of_zooms(compared):
    rule = paper_grid(224, (256,)).rules[4]
    pair = compared((50, 20), (50, 20), grid=Grid("own", (rule,)))
    text = printed(pair, 120)
    assert verdict(pair).startswith(f"{A} is better than {B}: with their own transforms by 50.00 [")
    for word in ("zoom", "upper bound", "Hard", "Cover", "Holm", "Centre bias"):
        assert word not in text


def test_what_is_left_out_is_said(compared):
    text = printed(compared((50, 20), (55, 30), bad=[(1, 2), ()], shards=(0, 40, N), left_out=[(), (1,)]), 120)
    words = " ".join(text.split())
    assert "On the same 38 images" in words
    assert "Left out: 20 only in model-0, 2 could not be read." in words
    assert "Note: model-1 is in progress: 40 of 60 images are done." in words


def test_p_values():
    assert [p_value(p) for p in (0.0, 0.00099, 0.0010001, 0.0496, 1.0)] == [
        *("p < 0.001", "p < 0.001", "p = 0.001", "p = 0.050", "p = 1.000")
    ]
