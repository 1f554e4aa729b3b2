"""Confusions of one model with the labels, and of two with each other: recounted from the run's files with NumPy."""

import csv
import json
from collections import Counter

import numpy as np
import pyarrow.parquet as pq
import pytest
from photo_runs import CLASSES, paint, photo_run
from review_site import server_of
from view_site import make_site, open_page, serve

from snellen.analysis.stats import wilson
from snellen.store.labels import encode_labels, labels_file

N = 120
LINES = 30


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """Two runs of the same pictures. Every fourth has two labels, every ninth none; one picture cannot be read."""
    folder = tmp_path_factory.mktemp("confusions")
    names = [f"{k:03d}.jpg" for k in range(N)]
    pictures = paint(folder / "pictures", names)
    rng = np.random.default_rng(5)
    for k in range(2):
        path = folder / "out" / "pictures" / f"model-{k}" / "paper-fp32"
        run = photo_run(path, pictures, model=f"timm/model_{k}", ease=0.03, bad=(11,), seed=k)
    labels = [
        list(map(int, rng.permutation(len(CLASSES))[: 0 if k % 9 == 4 else 2 if k % 4 == 0 else 1])) for k in range(N)
    ]
    for path in (folder / "out").glob("*/*/*"):
        (path / labels_file()).write_bytes(encode_labels(names, labels, run.class_space))
    return folder / "out"


@pytest.fixture(scope="module")
def address(out, tmp_path_factory):
    with server_of(out, tmp_path_factory.mktemp("cache")) as server:
        yield server.address


def labels_of(out):
    """The labels of each image, in the order of the file."""
    with next(out.glob("*/*/*/labels.csv")).open(newline="") as file:
        return [[CLASSES.index(key) for key in row["labels"].split("|") if key] for row in csv.DictReader(file)]


def answers_of(out, model):
    """Answers at the 1-crop and of most zooms, of equally many the first class; -1 where there is none."""
    (part,) = out.glob(f"*/model-{model}/*/parts/*.predictions.parquet")
    rows = pq.read_table(part)
    image, zoom, best = (rows[name].to_numpy() for name in ("image", "zoom", "id0"))
    crop, most = np.full((2, N), -1)
    crop[image[zoom == 112]] = best[zoom == 112]
    for k in np.unique(image):
        most[k] = np.bincount(best[image == k]).argmax()
    return crop, most


def recounted(labels, answers):
    """Label, answer and its images, the most frequent first; and of each label how many images are judged."""
    judged = [k for k in range(N) if labels[k] and answers[k] >= 0]
    of_label = Counter(labels[k][0] for k in judged)
    found = {}
    for k in judged:
        if answers[k] not in labels[k]:
            found.setdefault((labels[k][0], int(answers[k])), []).append(k)
    return sorted(found.items(), key=lambda one: (-len(one[1]), one[0])), of_label


def lines(page):
    """Every line of the table, as texts."""
    page.wait_for_selector(".confusion tbody tr")
    rows = page.eval_on_selector_all(
        ".confusion tbody tr:not(.opened)", "all => all.map(tr => [...tr.cells].map(td => td.innerText.trim()))"
    )
    return [row[:4] for row in rows]


def expected_lines(pairs, of_label):
    return [
        [CLASSES[a], CLASSES[b], str(len(rows)), f"{100 * len(rows) / of_label[a]:.1f} % of {of_label[a]}"]
        for (a, b), rows in pairs
    ]


def show_all(page):
    """Show more by the keyboard, until there is no more; the focus is always on the first new line."""
    while page.get_by_role("button", name="Show").count():
        before = len(lines(page))
        page.get_by_role("button", name="Show").focus()
        page.keyboard.press("Enter")
        page.wait_for_function(
            "n => document.activeElement === [...document.querySelectorAll('.confusion tbody button')][n]", arg=before
        )


def grid_rows(page, n):
    """The images that the grid shows of `n`."""
    page.wait_for_function("n => document.querySelector('.count b')?.textContent === n", arg=str(n))
    return page.eval_on_selector_all(".cell a", "all => all.map(a => parseInt(a.hash.split('/image/')[1]))")


@pytest.mark.parametrize("model", [0, 1])
@pytest.mark.parametrize("zooms", [False, True])
def test_the_table_and_its_links_are_those_of_numpy(browser, address, out, model, zooms):
    labels = labels_of(out)
    pairs, of_label = recounted(labels, answers_of(out, model)[zooms])
    assert len(pairs) > 2 * LINES
    assert any(len(own) == 2 and own != sorted(own) for own in labels)
    with open_page(browser, address + "#/s0/confusions") as seen:
        page = seen.page
        page.get_by_label(f"model_{model}").check()
        page.get_by_role("button", name="by most zooms" if zooms else "at the 1-crop").click()
        wrong, judged = sum(len(rows) for _, rows in pairs), sum(of_label.values())
        low, high = (100 * float(one) for one in wilson(wrong, judged))
        share = f"{100 * wrong / judged:.1f} %, 95 % interval {low:.1f}–{high:.1f}"
        page.get_by_text(f"{wrong} of {judged} images are wrong ({share}).").wait_for()
        expected = expected_lines(pairs, of_label)
        assert lines(page) == expected[:LINES]
        show_all(page)
        assert lines(page) == expected
        page.reload()
        assert lines(page) == expected  # the link has it
        links = page.get_by_role("link", name="in the grid")
        hrefs = [link.get_attribute("href") for link in links.all()]
        for place in (0, LINES, len(pairs) - 1):
            rows = pairs[place][1]
            page.goto(address + hrefs[place])
            assert grid_rows(page, len(rows)) == rows
        (first, second), _ = pairs[-1]
        page.get_by_text(f"{CLASSES[first]} taken for {CLASSES[second]}").wait_for()
        page.get_by_role("button", name="any answers").click()
        assert grid_rows(page, N)
        assert seen.complaints == seen.requests == []


def test_a_class_is_found_among_all_pairs(browser, address, out):
    pairs, of_label = recounted(labels_of(out), answers_of(out, 0)[0])
    with open_page(browser, address + "#/s0/confusions?m=m0") as seen:
        page = seen.page
        page.wait_for_selector(".confusion")
        page.get_by_label("Search the classes").fill("KIND-11")
        expected = [line for line in expected_lines(pairs, of_label) if "kind-11" in line[:2]]
        page.get_by_text(f"{len(expected)} of {len(pairs)} pairs").wait_for()
        assert lines(page) == expected
        assert "find=KIND-11" in page.url
        page.get_by_label("Search the classes").fill("kind-11 kind-1 no-such-class")
        page.get_by_text(f"0 of {len(pairs)} pairs").wait_for()
        assert page.locator(".confusion").count() == 0
        assert seen.violations() == []
        page.go_back()
        page.wait_for_function("() => document.querySelectorAll('.confusion tbody tr').length === 30")
        assert seen.complaints == []


def test_all_confusions_of_two_models_can_be_reached(browser, address, out):
    one, two = (answers_of(out, model)[0] for model in (0, 1))
    differ = Counter((int(a), int(b)) for a, b in zip(one, two, strict=True) if a != b and a >= 0 and b >= 0)
    expected = sorted(differ, key=lambda pair: (-differ[pair], pair))
    assert len(expected) > 2 * LINES
    with open_page(browser, address + "#/s0/compare") as seen:
        page = seen.page
        page.wait_for_selector(".confusion")
        show_all(page)
        assert [line[:3] for line in lines(page)] == [[CLASSES[a], CLASSES[b], str(differ[a, b])] for a, b in expected]
        a, b = expected[-1]
        last = page.get_by_role("link", name="in the grid").last
        assert last.get_attribute("aria-label") == f"{CLASSES[a]} or {CLASSES[b]}: in the grid"
        last.click()
        rows = [k for k in range(N) if (one[k], two[k]) == (a, b)]
        assert grid_rows(page, len(rows)) == rows
        assert seen.complaints == seen.requests == []


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1400, "light")])
def test_axe_finds_nothing_and_nothing_scrolls_sideways(browser, address, width, scheme):
    for place in ("confusions", "compare"):
        with open_page(browser, address + f"#/s0/{place}", width=width, scheme=scheme) as seen:
            seen.page.wait_for_selector(".confusion tbody button")
            seen.page.locator(".confusion tbody button").first.click()
            seen.page.wait_for_selector(".opened .thumbs")
            seen.page.wait_for_load_state("networkidle")
            assert seen.violations() == []
            assert seen.overflow() == 0


def test_one_view_of_one_model(browser, tmp_path):
    """A run of a model's own transform, alone: it has no other model and no zooms, and confusions all the same."""
    made = make_site(tmp_path, 60, models=1, classes=9)
    (model,) = made.models
    for name in ("winning", "consensus", "consensus_share", "consensus_right", "sensitivity", "best", "zooms", "map"):
        del model[name]
    (tmp_path / "data" / "s0" / "m0.json").write_text(json.dumps(model))
    labels = made.images["labels"]
    wrong = Counter((labels[k][0], model["crop"][k]) for k in range(60) if model["right"][k] == 0)
    with serve(tmp_path) as address, open_page(browser, address) as seen:
        seen.page.get_by_role("link", name="Confusions").click()
        names = made.classes["names"]
        assert {tuple(line[:3]) for line in lines(seen.page)} == {
            (names[a], names[b], str(count)) for (a, b), count in wrong.items()
        }
        assert seen.page.get_by_role("button", name="by most zooms").count() == 0
        assert seen.page.get_by_role("radio").count() == 0
        assert seen.complaints == []
