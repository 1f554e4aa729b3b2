"""The page as a document: what is in it, that nothing in it can act, that it stays small."""

import base64
import hashlib
import re
import shlex
from html.parser import HTMLParser
from itertools import pairwise
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from photo_runs import paint, photo_run

from snellen.analysis.survey import survey
from snellen.report import page
from snellen.report.draw import Drawn
from snellen.report.provenance import provenance
from snellen.report.table import Number, Row, Table
from snellen.report.tabular import html_table
from snellen.report.write import make_tables
from snellen.zoom import paper_grid

SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="300pt" height="225pt"><text>1 &lt; 2</text></svg>'
HOSTILE = (
    "<script>alert(1)</script>",
    "'\"><img src=x onerror=alert(1)>",
    "</style><style>*{display:none}",
    "{{ 1234567 * 7 }}{% raw %}",
    "\u202egnp.\u202c\u200f",
    "🦒&amp;&#60;b&#62;",
)
EMPTY = {"area", "base", "br", "col", "hr", "img", "input", "link", "meta", "source", "wbr", "rect"}


class Document(HTMLParser):
    """Every element with its attributes and text, as a browser would read them; complains of tags that do not match."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.open, self.text = [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        assert len(dict(attrs)) == len(attrs), attrs
        if tag not in EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.text.append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def words(self):
        return " ".join("".join(self.text).split())


def write(runs, folder, labels=(None,), figures=(), resamples=20):
    """The page of some runs: its survey, its bytes and the document."""
    found = survey(runs, labels, resamples=resamples)
    folder.mkdir(exist_ok=True)
    path = page.write_page(found, folder, figures, make_tables(found, runs))
    assert path == folder / "index.html"
    return found, path.read_bytes(), Document(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return paint(tmp_path_factory.mktemp("photos"), [f"a/{k}.jpg" for k in range(7)])


def sections(document):
    return [attributes["aria-labelledby"] for attributes in document.all("section")]


def test_nothing_in_it_can_act_whatever_things_are_called(tmp_path):
    names = [f"{name.replace('/', '∕')}.jpg" for name in HOSTILE] + [b"a\xff\xfe.jpg"]
    photos = paint(tmp_path / "<b>photos", names)
    runs = [
        photo_run(
            tmp_path / f"<i>{k}</i>",
            photos,
            classes=[*HOSTILE, "plain"],
            model=f"timm/{HOSTILE[k].replace('/', '∕')}",
            bad=[0],
            seed=k,
            versions={HOSTILE[0]: HOSTILE[1]},
            sessions=[{"started": HOSTILE[0], "machine": HOSTILE[1], "command": HOSTILE[2]}],
        )
        for k in range(2)
    ]
    drawn = [Drawn("x", "groups", HOSTILE[1], "groups", (0, 1), SVG)]
    _, content, document = write(runs, tmp_path / "report", figures=drawn)
    tags = {tag for tag, _ in document.elements}
    assert not tags & {"script", "iframe", "object", "embed", "link", "base", "template", "form", "button"}
    assert len(document.all("style")) == len(document.all("title")) == len(document.all("h1")) == 1
    for tag, attributes in document.elements:
        assert not {name for name in attributes if name.startswith("on") or name in ("style", "srcdoc", "ping")}
        assert attributes.get("src", "data:image/").startswith("data:image/"), tag
        assert re.match(r"#[\w-]+$|https://arxiv\.org/", attributes.get("href", "#x")), attributes
    text = document.words
    for name in (*HOSTILE[:4], "a\\xff\\xfe.jpg"):
        assert " ".join(name.split()) in text or name.replace("/", "∕") in text
    assert "8641969" not in text
    ids = [attributes["id"] for _, attributes in document.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    content.decode("utf-8")


def test_the_policy_allows_its_own_style_and_data_images_alone(photos, tmp_path):
    _, content, document = write([photo_run(tmp_path / "run", photos)], tmp_path / "report")
    style = re.search(rb"<style>(.*?)</style>", content, re.DOTALL)[1]
    (policy,) = [
        meta["content"] for meta in document.all("meta") if meta.get("http-equiv") == "Content-Security-Policy"
    ]
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    digest = base64.b64encode(hashlib.sha256(style).digest()).decode()
    assert rules == {
        "default-src": "'none'",
        "img-src": "data:",
        "style-src": f"'sha256-{digest}'",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    assert b"url(" not in style
    assert b"@import" not in style


def test_sections_headings_and_tables_are_in_order(photos, tmp_path):
    runs = [photo_run(tmp_path / f"run-{k}", photos, seed=k, model=f"timm/net{k}") for k in range(3)]
    _, _, document = write(runs, tmp_path / "report")
    expected = ["summary", "zooms", "space", "groups", "covers", "luck", "images", "comparison", "method"]
    assert sections(document) == expected
    links = [attributes["href"][1:] for attributes in document.all("a") if attributes["href"].startswith("#")]
    assert [link for link in links if link in expected] == expected
    ids = {attributes["id"] for _, attributes in document.elements if "id" in attributes}
    assert set(links) <= ids
    levels = [int(tag[1]) for tag, _ in document.elements if re.fullmatch(r"h\d", tag)]
    assert levels[0] == 1
    assert all(below - above <= 1 for above, below in pairwise(levels))
    tags = [tag for tag, _ in document.elements]
    assert tags.count("table") == tags.count("caption") == tags.count("thead") > 10
    assert all(cell.get("scope") in ("row", "col") for cell in document.all("th"))
    assert all(image["alt"] and image["loading"] == "lazy" for image in document.all("img"))
    regions = [a for _, a in document.elements if "scroll" in a.get("class", "").split()]
    assert all(region["tabindex"] == "0" and region["aria-label"] for region in regions)
    assert len(regions) == tags.count("table")


def test_figures_stand_in_their_sections(photos, tmp_path):
    runs = [photo_run(tmp_path / f"run-{k}", photos, seed=k, model=f"timm/net{k}") for k in range(2)]
    figures = [
        Drawn("s", "scales", "both <curves>", "scales", (0, 1), SVG),
        Drawn("s0", "scales", "curve of 0", "scales", (0,), SVG),
        Drawn("s1", "scales", "curve of 1", "scales", (1,), SVG),
        Drawn("z1", "zooms", "zooms of 1", "zooms", (1,), SVG.replace("300pt", "600pt")),
        Drawn("m", "locations", "map", "locations", (0, 1), SVG),
    ]
    found, _, document = write(runs, tmp_path / "report", figures=figures)
    order, section = [], None
    for tag, attributes in document.elements:
        section = attributes["aria-labelledby"] if tag == "section" else section
        source = attributes.get("src", "")
        if tag == "img" and source.startswith("data:image/svg+xml;base64,"):
            order.append((section, attributes["alt"].partition(".")[0], attributes["width"]))
            assert base64.b64decode(source.partition(",")[2]).decode().startswith("<svg")
    assert order == [
        ("zooms", "both <curves>", "400"),
        ("zooms", "curve of 0", "400"),
        ("zooms", "curve of 1", "400"),
        ("zooms", "zooms of 1", "800"),
        ("space", "map", "400"),
    ]
    assert f"Zoom study of {found.names[0]} and {found.names[1]} on" in document.words


def test_numbers_of_the_overview(photos, tmp_path):
    run = photo_run(tmp_path / "run", photos, ease=[0, 0, 1, 1, 1, 0.5, 0.5])
    found, _, document = write([run], tmp_path / "report")
    one = found.summaries[0]
    assert f"{100 * one.upper.value:.2f} [{100 * one.upper.low:.1f}, {100 * one.upper.high:.1f}]" in document.words
    assert f"no zoom reads {7 - one.upper.hits}." in document.words
    assert f"{one.luck.permutations} permutations" in document.words


@pytest.mark.parametrize(
    ("ease", "says", "never"),
    [(0, "no zoom reads 7", "Most zoom-sensitive: the"), (1, "Every image is read at every zoom.", "Hardest: the")],
    ids=["all wrong", "all right"],
)
def test_all_wrong_and_all_right(photos, tmp_path, ease, says, never):
    _, _, document = write([photo_run(tmp_path / "run", photos, ease=ease)], tmp_path / "report")
    assert says in document.words
    assert never not in document.words
    assert "comparison" not in sections(document)


def test_a_run_in_progress_with_images_that_could_not_be_read(photos, tmp_path):
    found, _, document = write([photo_run(tmp_path / "run", photos, done=5, bad=[1])], tmp_path / "report")
    assert found.notes
    assert found.notes[0][1:] in document.words
    assert "1 could not be read." in document.words
    assert "a/1.jpg: not an image <b>at all</b>" in document.words


def test_without_a_single_image(photos, tmp_path):
    _, _, document = write([photo_run(tmp_path / "run", photos, bad=range(7))], tmp_path / "report")
    assert "no image with a label has been read" in document.words
    assert "7 could not be read." in document.words
    assert re.search(r"\bnan\b", document.words) is None
    assert [image for image in document.all("img") if "whole" in image["alt"]] == []


def test_six_runs_by_two_label_sources(photos, tmp_path):
    runs = [
        photo_run(tmp_path / f"run-{k}", photos, seed=k, model=f"timm/net{k}", sources=("own", "other"))
        for k in range(6)
    ]
    found, _, document = write(runs, tmp_path / "report", labels=("own", "other"))
    assert len(found.summaries) == 12
    assert [run.model for run in found.runs] == [f"timm/net{k}" for k in range(6) for _ in range(2)]
    assert sum(a.get("id", "").startswith("images-") for _, a in document.elements) == 12
    assert document.words.count("To make this run again:") == 6


def test_an_eval_among_the_runs_is_left_out_and_said(photos, tmp_path):
    other = photo_run(tmp_path / "other", photos, grid=paper_grid(224, (224,)))
    run = photo_run(tmp_path / "run", photos, seed=1)
    found, _, document = write([other, run], tmp_path / "report")
    assert found.runs == [run]
    assert "is left out: its grid" in document.words


def test_copies_of_a_run_keep_their_own_progress(photos, tmp_path):
    runs = [photo_run(tmp_path / name, photos, seed=1) for name in ("a", "b")]
    found = survey(runs, resamples=20)
    assert [run.path.name for run in found.runs] == ["a", "b"]


def test_images_that_are_gone_are_said_to_be(tmp_path):
    photos = paint(tmp_path / "photos", ["a/1.jpg", "a/2.jpg"])
    run = photo_run(tmp_path / "run", photos)
    (photos / "a/1.jpg").unlink()
    (photos / "a/2.jpg").write_bytes(b"other")
    _, _, document = write([run], tmp_path / "report")
    assert "the image is no longer there" in document.words
    assert "another image is in its place now" in document.words
    assert document.all("img") == []


def test_lists_are_cut_so_that_the_page_stays_small(tmp_path, monkeypatch):
    photos = paint(tmp_path / "photos", [f"{k}.jpg" for k in range(12)], noise=True)
    run = photo_run(tmp_path / "run", photos)
    _, whole, _ = write([run], tmp_path / "report")
    limit = len(whole) - 120_000
    monkeypatch.setattr(page, "LIMIT", limit)
    _, content, document = write([run], tmp_path / "report")
    assert limit - 200_000 < len(content) <= limit
    assert re.search(r"\(the first \d+ of 12\)", document.words)
    monkeypatch.setattr(page, "LIMIT", 1000)
    _, content, document = write([run], tmp_path / "report")
    assert document.all("img") == []


@pytest.mark.slow
def test_a_thousand_images_and_six_runs_are_below_five_megabytes(tmp_path):
    """Noise, which no compression makes small, and figures of the size that real ones have."""
    photos = paint(tmp_path / "photos", [f"a/{k:04d}.jpg" for k in range(40)], noise=True)
    for k in range(40, 1000):
        (photos / f"a/{k:04d}.jpg").hardlink_to(photos / f"a/{k % 40:04d}.jpg")
    runs = [
        photo_run(tmp_path / f"run-{k}", photos, seed=k, model=f"timm/net{k}", ease=np.linspace(0, 1, 1000))
        for k in range(6)
    ]
    svg = SVG.replace("1 &lt; 2", "x" * 150_000)
    figures = [Drawn(f"z{k}", "zooms", f"{k}", "zooms", (k,), svg) for k in range(6)]
    figures += [Drawn(f"s{k}", "scales", f"{k}", "scales", (k,), svg[:32_000]) for k in range(6)]
    _, content, document = write(runs, tmp_path / "report", figures=figures)
    assert 3_000_000 < len(content) <= page.LIMIT == 5_000_000
    assert len(document.all("img")) > 12 + 6 * 2 * 2


@given(st.lists(st.tuples(*[st.sampled_from(["", "a", "b"])] * 3), min_size=1, max_size=9, unique=True))
def test_every_row_is_named_by_exactly_one_cell_of_each_column(names):
    rows = tuple(Row(name, (Number(0.5),)) for name in names)
    table = html_table(Table("t", "T", ("x", "y", "z"), ("m",), (("m",),), rows))
    columns = len(table.names)
    owners = [[] for _ in range(len(rows))]
    free = [0] * columns
    for place, row in enumerate(table.rows):
        cells = list(row.names)
        for col in range(columns):
            if free[col] == place:
                cell = cells.pop(0)
                free[col] = place + cell.span
                for k in range(place, place + cell.span):
                    owners[k].append((col, cell.text))
        assert cells == []
    assert free == [len(rows)] * columns
    kept = [("x", "y", "z").index(name) for name in table.names]
    for owned, name in zip(owners, names, strict=True):
        assert [text for _, text in sorted(owned)] == [name[k] for k in kept]


def test_the_command_makes_the_run_again(photos, tmp_path):
    run = photo_run(tmp_path / "run", photos, model="timm/x@/some where/w.safetensors,mean=0.5")
    command = shlex.split(provenance(run).command)
    assert command[:3] == ["snellen", "study", str(photos)]
    assert command[command.index("-m") + 1] == run.model
    assert "--limit" not in command
    run.record["shards"][-1] = 5
    assert shlex.split(provenance(run).command)[-2:] == ["--limit", "5"]
    run.record["model"]["spec"] = "module/mine"
    assert provenance(run).command == ""


def test_an_old_record_lacks_facts_and_no_more(make_run):
    import snellen

    run = snellen.load_run(make_run(3).path)
    names = [name for name, _, _ in provenance(run).facts]
    assert {"model", "fingerprint", "data"} <= set(names)
    assert "normalisation" not in names
    assert provenance(run).sessions == ()


def test_figures_of_single_runs_are_the_first_to_be_left_out():
    def drawn(name, about, size):
        return Drawn(name, "scales", name, "scales", about, f"<svg>{'x' * size}</svg>")

    figures = [drawn("one", (0,), 300), drawn("two", (1,), 300), drawn("both", (0, 1), 500), drawn("big", (2, 3), 9000)]
    assert [one.name for one in page.affordable(figures, 20_000)] == ["one", "two", "both", "big"]
    assert [one.name for one in page.affordable(figures, 1_200)] == ["one", "both"]
    assert page.affordable(figures, 100) == []


def test_a_slim_figure_says_the_same(make_run):
    """Its text, and its shapes to a hundredth of a pixel, in fewer bytes."""
    import snellen
    from snellen.analysis.summary import summarise
    from snellen.report.figures import bars, maps, style
    from snellen.report.slim import slim

    summary = summarise(snellen.load_run(make_run(9).path))
    for figure in (maps.zoom_map(summary, "a <b> 1.23456"), bars.group_bars([summary], ["x"], "t")):
        before = style.save(figure, ["svg"])["svg"].decode()
        after = slim(before)
        assert len(after) < 0.75 * len(before)
        old, new = (ElementTree.fromstring(text) for text in (before, after))
        tag = "{http://www.w3.org/2000/svg}"
        for name in ("text", "path", "use", "image", "rect"):
            pairs = list(zip(old.iter(tag + name), new.iter(tag + name), strict=True))
            for a, b in pairs:
                assert a.text == b.text or name != "text"
                for key in ("x", "y", "d"):
                    numbers = [re.findall(r"-?\d+\.?\d*", element.get(key, "")) for element in (a, b)]
                    assert np.allclose(*(np.array(values, float) for values in numbers), atol=0.01)
