"""What the card says: its header as the Hub reads it, how the images were made, accuracy, changes."""

import csv
import io
import json

import numpy as np
import pytest
import yaml
from hard_pictures import hard_pictures, publish_options
from hard_set import MadeUpImage, verdict_on, write_hard_set
from PIL import Image

from snellen.analysis.accuracy import share
from snellen.analysis.compare import mcnemar
from snellen.datasets import open_dataset
from snellen.errors import UsageError
from snellen.labels import IMAGENET_1K
from snellen.mining.hardset import read
from snellen.mining.log import append
from snellen.mining.publish.changes import changes, open_previous
from snellen.mining.publish.made import how_made
from snellen.mining.publish.publish import publish
from snellen.mining.publish.rows import SCHEMA, select
from snellen.mining.publish.scores import Target, score_runs
from snellen.store import load_run

X, LITE = "timm/x@/home/me/w.safetensors", "embedded/efficientnet_lite0"
SHARE = {"hits": 1, "n": 8, "value": 0.125, "low": 0.0224, "high": 0.4709, "stderr": 0.117}
# As `mine` writes it.
MADE = {
    "miners": [X, LITE],
    "miners_required": 1,
    "funnel": [
        {"miner": X, "shown": 24000, "read": 23970, "failed": 30, "left": 30, "forwards": 33000, "floor": 32000},
        {"miner": LITE, "shown": 30, "read": 6, "failed": 24, "left": 24, "forwards": 8000, "floor": 7782},
    ],
    "leave_one_out": {
        "needed": 1,
        "miners": [
            {"miner": X, "all": SHARE, "hard": SHARE, "any_zoom": SHARE, "zoom_free": {**SHARE, "value": None, "n": 0}}
        ],
        "forwards": 100,
        "one_crop_forwards": 100,
    },
    "sessions": [
        {"started": "2026-01-02T03:04:05Z", "command": "/usr/bin/snellen mine /home/me/pictures -o /home/me/hard"},
        {"started": "2026-01-04T03:04:05Z", "command": "/x/snellen/cli/__main__.py mine /home/me/pictures -o ~/a/hard"},
    ],
    "versions": {"snellen": "0.1.0", "python": "3.11"},
    "fingerprints": {"pictures/timm-x/paper-fp32": "ab" * 32},
}


def parts_of(text: str) -> tuple[dict, dict[str, str]]:
    """A card's header, and its sections by title."""
    _, header, body = text.split("---\n", 2)
    first, *sections = body.split("\n## ")
    named = {one.partition("\n")[0]: one.partition("\n")[2] for one in sections}
    return yaml.safe_load(header), {"": first, **named}


@pytest.fixture
def two(pictures, tmp_path):
    """A hard set from two folders, and what they are called."""
    other = tmp_path / "others"
    (other / "n01440764").mkdir(parents=True)
    for k in range(3):
        Image.new("RGB", (9, 9), (k, 0, 0)).save(other / "n01440764" / f"{k}.png")
    images = hard_pictures(tmp_path / "hard", pictures, other, record=MADE)
    return tmp_path / "hard", images, (pictures, other)


def test_the_header_is_what_the_hub_reads(two, tmp_path):
    hard, _, folders = two
    names = [open_dataset(folder).name for folder in folders]
    publish(hard, tmp_path / "hard-v1", publish_options(licences=[f"{names[0]}=MIT", f"{names[1]}=CC-BY-4.0"]))
    text = (tmp_path / "hard-v1" / "README.md").read_text()
    header, parts = parts_of(text)
    assert header["configs"] == [
        {"config_name": "default", "data_files": [{"split": "validation", "path": "data/validation-*"}]}
    ]
    assert (header["license"], header["size_categories"]) == (["cc-by-4.0", "mit"], ["n<1K"])
    assert header["pretty_name"] == "hard-v1"
    features = header["dataset_info"]["features"]
    assert [one["name"] for one in features] == SCHEMA.names
    assert features[:4] == [
        {"name": "image", "dtype": "image"},
        {"name": "label", "sequence": "int64"},
        {"name": "origin", "dtype": "string"},
        {"name": "english_label", "sequence": "string"},
    ]
    assert f"| {names[0]} | 24 | 88.89 % | MIT | as given |".replace("_", r"\_") in parts["Where the images are from"]
    assert "| others | 3 | 11.11 % | CC-BY-4.0 | as given |" in parts["Where the images are from"]
    with Image.open(tmp_path / "hard-v1" / "origins.png") as figure:
        assert figure.format == "PNG"
        assert min(figure.size) > 300
    assert "27 images that at least 1 of 2 classifiers failed to read" in parts[""]


def test_it_says_how_the_images_were_mined_and_names_no_folder(two, tmp_path):
    hard, images, folders = two
    append(hard, [verdict_on(images[0], "drop"), verdict_on(images[1], "keep", seq=1)])
    append(hard, [verdict_on(images[0], "drop", reviewer="bob", client=2)])
    publish(hard, tmp_path / "out", publish_options(*folders))
    text = (tmp_path / "out" / "README.md").read_text()
    _, parts = parts_of(text)
    made = parts["How it was made"].replace("\\", "")
    assert "at least 1 of 2 classifiers were wrong at every framing: 27 images" in made
    assert "| timm/x@w.safetensors |\n" in made
    assert "| timm/x@w.safetensors | 24,000 | 23,970 | 30 | 30 | 33,000 | 32,000 |" in made
    assert made.count("snellen mine pictures -o hard\n") == 1
    assert "pictures/timm-x/paper-fp32 abababababababab" in made
    assert "- Mined: 2026-01-02 to 2026-01-04." in made
    assert "Not recorded" not in made
    limits = parts["Known limits"].replace("\\", "")
    assert "timm/x@w.safetensors and embedded/efficientnet_lite0" in limits
    assert "| timm/x@w.safetensors | 12.50 % [2.24, 47.09] (n = 8) | 12.50 %" in limits
    assert "Nobody decided on 25 of the images" in limits
    assert "the images here are 1 kept, 25 undecided." in parts["Review"]
    assert "Left out of those mined: 1 dropped in the review." in parts["Review"]
    everything = text + (tmp_path / "out" / "publish.json").read_text()
    assert "/home/me" not in everything
    assert str(tmp_path) not in everything


def test_what_is_not_recorded_is_named(pictures, tmp_path):
    hard_pictures(tmp_path / "hard", pictures, record={"miners": [], "sources": [str(pictures)]})
    publish(tmp_path / "hard", tmp_path / "out", publish_options(pictures))
    _, parts = parts_of((tmp_path / "out" / "README.md").read_text())
    assert (
        "Not recorded: the classifiers, the funnel, the command, when it was mined, fingerprints."
        in parts["How it was made"]
    )
    assert "**No leave-one-out.**" in parts["Known limits"]
    assert "origins.png" not in parts["Where the images are from"], "one origin needs no figure"
    assert "Accuracy" not in parts
    assert "Changes" not in parts


@pytest.mark.parametrize(
    "record",
    [
        {},
        {"miners": None, "funnel": {}, "sources": 3, "sessions": [None, "x"], "leave_one_out": []},
        {"miners": {"a": 1}, "funnel": ["a", {"b": [1, {}]}], "sessions": [{"command": ["snellen", "mine", "/a b/c"]}]},
        {"leave_one_out": {"a": {"hard": {"value": None, "low": 0, "high": 1, "n": 0}}}, "versions": "x"},
    ],
)
def test_a_record_of_any_form_is_read(record):
    made = how_made(record)
    for lines in (made.miners, made.sources, made.funnel, made.leave_one_out):
        assert all(len(row) == len(lines.columns) for row in lines.rows)


def scored_by_hand(run, images, view):
    """By id whether a made-up run is right on the published images."""
    labels = {image.image_id: set(image.labels) for image in images}
    return {name: run.ids[row, view] in labels[name] for row, name in enumerate(run.image_ids) if name in labels}


@pytest.fixture
def runs_and_images(make_run, tmp_path):
    runs = [make_run(40, path=tmp_path / f"run-{k}", seed=k, bad=(7,)) for k in range(2)]
    images = [MadeUpImage(f"folder/{k:03d}.jpg", (k % 7,), "made-up", f"{k:064x}") for k in range(5, 30)]
    return runs, images, {image.id: Target(frozenset([image.sha256]), image.labels) for image in images}


def test_runs_are_scored_on_the_published_images_alone(runs_and_images):
    runs, images, targets = runs_and_images
    for run in runs:
        record = json.loads((run.path / "run.json").read_text())
        record["model"]["spec"] = f"timm/{run.path.name}"
        (run.path / "run.json").write_text(json.dumps(record))
    scores, notes = score_runs([load_run(run.path) for run in runs], targets, runs[0].space)
    right = {run.path.name: scored_by_hand(run, images, 112) for run in runs}
    assert notes == []
    assert all(len(one) == 24 for one in right.values()), "one of 25 could not be read"
    assert {score.name: score.accuracy for score in scores} == {
        name: share(np.array(list(one.values()))) for name, one in right.items()
    }
    best, other = scores
    assert best.accuracy.value >= other.accuracy.value
    assert (best.against, {best.view, other.view}) == (None, {"1-crop"})
    rows = [
        np.array([right[score.name][image.image_id] for image in images if image.image_id in right[score.name]])
        for score in scores
    ]
    assert other.against.test == mcnemar(*rows)
    assert other.against.value == pytest.approx(rows[0].mean() - rows[1].mean())


def test_runs_of_one_model_on_several_data_sets_count_as_one(runs_and_images, make_run, tmp_path):
    runs, _, targets = runs_and_images
    more = make_run(6, path=tmp_path / "more", seed=5)
    samples = [MadeUpImage(f"folder/{k:03d}.jpg", (1,), "made-up", f"{k:064x}") for k in range(5)]
    targets = {**targets, **{image.id: Target(frozenset([image.sha256]), image.labels) for image in samples}}
    scores, _ = score_runs([load_run(runs[0].path), load_run(more.path)], targets, runs[0].space)
    assert [score.accuracy.n for score in scores] == [29]
    assert scores[0].against is None


def test_a_run_that_cannot_be_scored_is_left_out_with_a_note(runs_and_images, make_run, tmp_path):
    runs, _, targets = runs_and_images
    other = make_run(4, path=tmp_path / "classes", classes=5)
    scores, notes = score_runs([load_run(runs[0].path), load_run(other.path)], targets, runs[0].space)
    assert len(scores) == 1
    assert "its classes are those of made-up" in notes[0]
    with pytest.raises(UsageError, match="no --run fits"):
        score_runs([load_run(other.path)], targets, runs[0].space)
    elsewhere = {key: Target(frozenset(["f" * 64]), target.labels) for key, target in targets.items()}
    with pytest.raises(UsageError, match="was shown none of these images"):
        score_runs([load_run(runs[0].path)], elsewhere, runs[0].space)
    assert score_runs([], targets, runs[0].space) == ([], [])


def test_changes_are_told_image_by_image(pictures, tmp_path):
    images = hard_pictures(tmp_path / "hard", pictures)
    append(tmp_path / "hard", [verdict_on(images[0], "drop", reason="a cartoon")])
    publish(tmp_path / "hard", tmp_path / "v1", publish_options(pictures))
    # The next version: one comes back, one goes, one is not mined any more, one has other labels.
    again = verdict_on(images[0], "keep", seq=1, client=2, based_on=[verdict_on(images[0], "drop")])
    append(tmp_path / "hard", [again])
    append(tmp_path / "hard", [verdict_on(images[1], "drop", client=3)])
    append(tmp_path / "hard", [verdict_on(images[3], "relabel", "n01484850", client=4, reason="a shark")])
    record = json.loads((tmp_path / "hard" / "mine.json").read_text())
    write_hard_set(tmp_path / "hard", [image for k, image in enumerate(images) if k != 2])
    (tmp_path / "hard" / "mine.json").write_text(json.dumps(record))
    publish(tmp_path / "hard", tmp_path / "v2", publish_options(pictures, previous=str(tmp_path / "v1")))
    text = (tmp_path / "v2" / "changes.csv").read_text("utf-8-sig")
    rows = [
        (row["change"], row["id"], row["labels_before"], row["labels_now"], row["why"])
        for row in csv.DictReader(io.StringIO(text, newline=""))
    ]
    keys = [IMAGENET_1K.keys[image.labels[0]] for image in images[:4]]
    assert rows == [
        ("added", images[0].id, "", keys[0], ""),
        ("dropped", images[1].id, keys[1], "", "dropped in the review"),
        ("dropped", images[2].id, keys[2], "", "not mined any more"),
        ("relabelled", images[3].id, keys[3], "n01484850", "a shark"),
    ]
    _, parts = parts_of((tmp_path / "v2" / "README.md").read_text())
    assert "Against v1 (23 images): 1 added, 2 dropped, 1 relabelled, 0 replaced." in parts["Changes"]
    hard_set = read(tmp_path / "hard")
    assert changes("v2", open_previous(str(tmp_path / "v2")), hard_set, select(hard_set, (), "keep")).rows == ()


def test_a_version_without_ids_is_compared_by_its_bytes(pictures, tmp_path):
    """As ImageNet-Hard on the Hub has it: no ids."""
    from hard_rows import Row, write_rows

    images = hard_pictures(tmp_path / "hard", pictures)
    old = [Row("", (pictures / image.image_id).read_bytes(), list(image.labels), image.origin) for image in images[:20]]
    old += [Row("", b"another", [5], "elsewhere")]
    write_rows(old, tmp_path / "old" / "data" / "validation-00000-of-00001.parquet", 7)
    append(tmp_path / "hard", [verdict_on(images[3], "drop")])
    hard_set = read(tmp_path / "hard")
    found = changes("old", open_previous(str(tmp_path / "old")), hard_set, select(hard_set, (), "keep"))
    assert found.counts == {"added": 4, "dropped": 2, "relabelled": 0, "replaced": 0}
    assert {row.id for row in found.rows if row.kind == "added"} == {image.id for image in images[20:]}
    (dropped, gone) = [row for row in found.rows if row.kind == "dropped"]
    assert (dropped.id, dropped.why) == (images[3].id, "dropped in the review")
    assert (gone.origin, gone.why) == ("elsewhere", "not mined any more")


def test_agreement_of_reviewers_is_in_the_card(pictures, tmp_path):
    images = hard_pictures(tmp_path / "hard", pictures)
    for client, reviewer in enumerate(("ada", "bob"), 1):
        said = ["drop" if (k % 3 == 0) != (client == 2 and k == 1) else "keep" for k in range(8)]
        append(
            tmp_path / "hard",
            [verdict_on(images[k], word, reviewer=reviewer, client=client, seq=k) for k, word in enumerate(said)],
        )
    publish(tmp_path / "hard", tmp_path / "out", publish_options(pictures))
    _, parts = parts_of((tmp_path / "out" / "README.md").read_text())
    kappa = read(tmp_path / "hard").agreement.pairs[0].kappa
    assert 0 < kappa.value < 1
    assert f"Cohen's kappa of verdicts given without sight of another's: {kappa.value:.2f}" in parts["Review"]


def test_models_are_ranked_and_compared_on_the_same_images(runs_and_images, make_run, tmp_path):
    """One saw only easy images: it is no better for that, and is left out with a note."""
    runs, images, targets = runs_and_images
    made = [*runs, *(make_run(40, path=tmp_path / f"more-{k}", seed=9 + k) for k in range(2))]
    few = make_run(12, path=tmp_path / "few", seed=3)  # images 5 to 11 of 5 to 29
    for run in (*made, few):
        record = json.loads((run.path / "run.json").read_text())
        record["model"]["spec"] = f"timm/{run.path.name}"
        (run.path / "run.json").write_text(json.dumps(record))
    loaded = [load_run(run.path) for run in (*made, few)]
    scores, notes = score_runs(loaded, targets, runs[0].space, ["timm/more-1"])
    assert notes == ["few is left out: it was shown 7 of these images, another 25"]
    right = {run.path.name: scored_by_hand(run, images, 112) for run in made}
    common = sorted(set.intersection(*map(set, right.values())))
    rows = {name: np.array([one[image] for image in common]) for name, one in right.items()}
    assert {score.name: score.accuracy for score in scores} == {name: share(row) for name, row in rows.items()}
    assert [score.name for score in scores if score.miner] == ["more-1"]
    best, *others = scores
    raw = sorted(mcnemar(rows[best.name], rows[one.name]).p for one in others)
    # Holm, by hand: the smallest of three is multiplied by 3.
    assert min(one.against.p for one in others) == pytest.approx(min(1, 3 * raw[0]))


def test_a_mined_run_is_said_to_have_no_accuracy(runs_and_images, monkeypatch):
    runs, _, targets = runs_and_images
    run = load_run(runs[0].path)
    for path in (run.path / "commits").iterdir():
        path.unlink()
    (run.path / "mined" / "0").mkdir(parents=True)
    with pytest.raises(UsageError, match="a mined run has no accuracy"):
        score_runs([load_run(run.path)], targets, run.class_space)


def test_images_of_one_file_and_images_whose_file_was_replaced(own_pictures, tmp_path):
    from hard_rows import Row, write_rows

    paths = sorted(own_pictures.rglob("*.png"))
    (paths[0].parent / "twin.png").write_bytes(paths[0].read_bytes())
    images = hard_pictures(tmp_path / "hard", own_pictures)
    old = [Row("", (own_pictures / image.image_id).read_bytes(), list(image.labels), image.origin) for image in images]
    write_rows(old, tmp_path / "old" / "data" / "validation-00000-of-00001.parquet", 7)
    hard_set = read(tmp_path / "hard")
    found = changes("old", open_previous(str(tmp_path / "old")), hard_set, select(hard_set, (), "keep"))
    assert (found.images, found.rows) == (25, ()), "two have the same bytes"
    publish(tmp_path / "hard", tmp_path / "v1", publish_options(own_pictures))
    Image.new("RGB", (9, 9)).save(paths[3])
    again = hard_pictures(tmp_path / "hard", own_pictures)
    found = publish(tmp_path / "hard", tmp_path / "v2", publish_options(own_pictures, previous=str(tmp_path / "v1")))
    (other,) = {image.id for image in again if image.sha256 not in {image.sha256 for image in images}}
    assert found.record["changes"] | {"against": ""} == {
        "against": "",
        "images": 25,
        "added": 0,
        "dropped": 0,
        "relabelled": 0,
        "replaced": 1,
    }
    assert f"replaced,{other}," in (tmp_path / "v2" / "changes.csv").read_text("utf-8-sig")


def test_why_an_image_was_dropped_is_what_they_said_who_were_followed(pictures, tmp_path):
    images = hard_pictures(tmp_path / "hard", pictures)
    publish(tmp_path / "hard", tmp_path / "v1", publish_options(pictures))
    said = [verdict_on(images[0], "drop", reason="a cartoon"), verdict_on(images[0], reviewer="bob", reason="fine")]
    append(tmp_path / "hard", said[:1])
    append(tmp_path / "hard", [verdict_on(images[0], reviewer="bob", reason="fine", client=2)])
    said[1] = verdict_on(images[0], reviewer="bob", reason="fine", client=2)
    append(tmp_path / "hard", [verdict_on(images[0], "drop", reviewer="cleo", client=3, based_on=said)])
    publish(tmp_path / "hard", tmp_path / "v2", publish_options(pictures, previous=str(tmp_path / "v1")))
    assert "dropped in the review: a cartoon\r\n" in (tmp_path / "v2" / "changes.csv").read_bytes().decode("utf-8-sig")


def test_who_disagreed_is_not_nobody(pictures, tmp_path):
    images = hard_pictures(tmp_path / "hard", pictures)
    append(tmp_path / "hard", [verdict_on(images[0])])
    append(tmp_path / "hard", [verdict_on(images[0], "drop", reviewer="bob", client=2)])
    publish(tmp_path / "hard", tmp_path / "out", publish_options(pictures))
    _, parts = parts_of((tmp_path / "out" / "README.md").read_text())
    assert "Nobody decided on 23 of the images." in parts["Known limits"]
    assert "On 1 of the images verdicts contradict each other" in parts["Known limits"]
    assert "snellen publish hard -o out --format parquet --duplicates drop --undecided keep" in parts["How it was made"]


def test_text_of_others_is_text_in_the_card(pictures, tmp_path):
    """By another reader of Markdown: what a reviewer wrote is shown as it is, and links and calls nobody."""
    markdown_it = pytest.importorskip("markdown_it")
    from snellen.report.writers import markdown

    text = "a &amp; <b>b</b> | *c* @someone https://x.org www.x.org ![x](y) [x](javascript:y) timm/x@w.bin"
    shown = markdown_it.MarkdownIt("commonmark").render(markdown(text))
    assert "<a" not in shown
    assert "<img" not in shown
    import html
    import re

    assert html.unescape(re.sub(r"<!-- -->|</?p>", "", shown)).strip() == text
    assert "@someone" not in markdown(text)
    assert "https://" not in markdown(text)
    assert "www.x" not in markdown(text)
