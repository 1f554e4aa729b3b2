"""The benchmark's numbers of made-up runs: pairing, rates, names, the table of results."""

import csv
import io
from itertools import pairwise

import numpy as np
import pytest
from rich.console import Console

import snellen
from snellen.analysis.benchmark import _rate, group_letters, result_of
from snellen.analysis.compare import groups
from snellen.errors import UsageError
from snellen.report.results import print_results, read_results, result_row, write_results
from snellen.store.reader import Run
from snellen.zoom import Grid, ViewRule

OWN = Grid("own", (ViewRule(256, 1, 1, anchor="spread"),))
CARD = {
    "source": "made-up",
    "weights": "0" * 64,
    "view_size": 224,
    "own": {"size": 224, "resize": 256, "filter": "bicubic", "mode": "shorter"},
    "mean": [0.5] * 3,
    "std": [0.5] * 3,
    "parameters": 1_234_567,
    "embed_dim": 0,
    "notes": [],
    "probe": [],
}


@pytest.fixture
def result(make_run, tmp_path):
    """`result(model, data, …)`: the result of a made-up run of one view an image."""

    def make(model="m", data="/data/photos", name="photos", **options):
        folder = tmp_path / f"{len(list(tmp_path.iterdir()))}"
        run = snellen.load_run(make_run(path=folder, grid=OWN, **options).path)
        record = run.record
        record["data"] |= {"spec": data, "name": name, "images": record["shards"][-1]}
        record["model"] |= {"spec": model, "card": record["model"]["card"] | CARD}
        return result_of(Run(run.path, record))

    return make


@pytest.mark.parametrize("bad", [(), (0, 5, 11)])
def test_the_numbers_of_a_run(result, bad):
    found = result(images=12, bad=bad, seed=3)
    run = found.run
    right = [run.answers()[k, 0] in labels for k, labels in enumerate(run.labels())]
    assert (found.score.top1.hits, found.score.top1.n) == (sum(right), 12 - len(bad))
    assert len(found.errors) == len(bad)
    bits = np.unpackbits(found.right)[:12].astype(bool)
    assert bits[[k for k in range(12) if k not in bad]].tolist() == right
    assert np.unpackbits(found.scored)[:12].tolist() == [int(k not in bad) for k in range(12)]


def test_models_are_paired_on_the_images_that_all_were_scored_on(result):
    rng = np.random.default_rng(0)
    best = [rng.integers(0, 7, (300, 1)).astype(np.int32) for _ in range(3)]
    made = [result(f"m{k}", images=300, best=b, bad=range(k * 20)) for k, b in enumerate(best)]
    correct = {f"m{k}": np.unpackbits(r.right)[40:300].astype(bool) for k, r in enumerate(made)}
    assert group_letters(made) == groups(correct)


@pytest.mark.parametrize(
    ("shards", "seconds"),
    [
        ([(0, 4, 10)], 4.0),
        ([(0, 4, 10), (1, 4, 10)], 5.0),  # two workers at a time
        ([(0, 4, 10), (100, 2, 10)], 6.0),  # stopped for a while
        ([(0, 10, 10), (2, 3, 10), (9, 4, 10)], 13.0),
    ],
)
def test_the_rate_is_over_the_time_that_was_worked(shards, seconds):
    commits = [{"started": start, "seconds": length, "images": images} for start, length, images in shards]
    assert _rate(commits) == pytest.approx(sum(s[2] for s in shards) / seconds)
    assert _rate([]) is None


def test_two_folders_of_one_name_stay_apart(result, tmp_path):
    """Tables, letters and results.csv tell them apart; a folder that is named like a known set is not that set."""
    made = [result("m", f"/{place}/imagenet-a", "imagenet-a", seed=k) for k, place in enumerate("ab")]
    made.append(result("n", "/a/imagenet-a", "imagenet-a", seed=4))
    out = tmp_path / "out"
    out.mkdir()
    write_results(out, made)
    with (out / "results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert sorted((row["model"], row["dataset"]) for row in rows) == [
        ("m", "/a/imagenet-a"),
        ("m", "/b/imagenet-a"),
        ("n", "/a/imagenet-a"),
    ]
    assert not any(r.published for r in made)
    named = result("torchvision/resnet50:IMAGENET1K_V1", "imagenet-a@/somewhere", "imagenet-a")
    assert named.data == "imagenet-a"
    printed = io.StringIO()
    print_results(made, Console(file=printed, width=160))
    assert printed.getvalue().count("/b/imagenet-a") >= 2


def test_names_are_printed_as_they_are(result):
    made = [result("odd[/tmp]/[bold]x", "/data[v2]/[red]set", "set", seed=k) for k in range(1)]
    made.append(result("other", "/data[v2]/second", "second"))
    printed = io.StringIO()
    print_results(made, Console(file=printed, width=200))
    for name in ("odd[/tmp]/[bold]x", "/data[v2]/[red]set"):
        assert printed.getvalue().count(name) >= 2


def test_rows_are_added_replaced_and_ordered(result, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    first = [result(f"m{k}", seed=k) for k in range(3)]
    for one in first:
        write_results(out, [one])
    again = result("m1", seed=9)
    write_results(out, [again])
    rows = list(read_results(out).values())
    assert {row["model"] for row in rows} == {"m0", "m1", "m2"}
    assert next(row for row in rows if row["model"] == "m1") == result_row(again)
    values = [float(row["top1"]) for row in rows]
    assert all(a >= b for a, b in pairwise(values))


@pytest.mark.parametrize("content", [b"\xff\xfe\xff", b"a,b\n1,2\n", b'model,dataset\n"x'])
def test_a_table_of_results_that_is_none(content, result, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "results.csv").write_bytes(content)
    for call in (lambda: read_results(out), lambda: write_results(out, [result()])):
        with pytest.raises(UsageError, match="move it away"):
            call()
    assert (out / "results.csv").read_bytes() == content


def test_a_blank_value_of_someone_elses_row_is_kept(result, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "results.csv").write_text("model,dataset,labels,precision,top1\nold,set,own,fp32,\n")
    write_results(out, [result()])
    assert {row["model"] for row in read_results(out).values()} == {"old", "m"}


def test_nothing_to_evaluate():
    for models, data in (([], "examples"), ("embedded/efficientnet_lite0", [])):
        with pytest.raises(UsageError, match="at least one model and one data set"):
            snellen.evaluate(models, data)
