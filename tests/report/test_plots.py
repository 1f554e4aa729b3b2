"""The figures: what is drawn are the tables' numbers, nothing is cut or overlaps, the bytes are the same."""

import csv
import io
import re
import subprocess
import sys
import zlib
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib import colormaps, rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.container import BarContainer, ErrorbarContainer
from photo_runs import paint, photo_run
from PIL import Image
from two_runs import runs_of

import snellen
from snellen.analysis.published import Published
from snellen.analysis.survey import survey
from snellen.report.draw import drawings
from snellen.report.figures import style
from snellen.report.figures.bars import GROUP_COLOURS, origin_figure
from snellen.report.figures.maps import zoom_map
from snellen.report.figures.style import HATCHES
from snellen.report.names import data_groups, distinct, run_stems
from snellen.report.origins import Origin, image_origins
from snellen.report.table import as_csv
from snellen.report.write import make_tables
from snellen.zoom import PAPER_GRID, SCALES

LONG = [
    "timm/eva02_large_patch14_448.mim_m38m_ft_in22k_in1k",
    "open_clip/convnext_xxlarge,laion2b_s34b_b82k_augreg_soup",
    "timm/a_name_that_has_no_end_and_is_longer_than_any_that_was_ever_given_to_a_network_of_any_kind_at_all",
    "torchvision/resnet50:IMAGENET1K_V1",
    "timm/$x_1$ & <b>%s</b>",
    "timm/b",
]


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return paint(tmp_path_factory.mktemp("plots") / "photos", [f"{k}.jpg" for k in range(40)])


@pytest.fixture(scope="module")
def two(photos, tmp_path_factory):
    """A survey of two runs, its drawings by name, and the lines of its tables."""
    folder = tmp_path_factory.mktemp("two")
    runs = [photo_run(folder / str(k), photos, model=f"timm/m{k}", ease=0.02 + 0.3 * k, seed=k) for k in range(2)]
    found = survey(runs, resamples=20, exact_cover=5.0)
    drawn = {one.name: one for one in drawings(found.summaries, found.names, image_origins(runs))}
    tables = {table.name: list(csv.DictReader(io.StringIO(as_csv(table)))) for table in make_tables(found, runs)}
    return found, drawn, tables


def values(lines, **wanted):
    """The values of a table's lines in percent, as they follow each other."""
    return [100 * float(line["value"]) for line in lines if all(line[key] == text for key, text in wanted.items())]


def points(axes):
    """The y of every line of an axes that has markers, in order; of what is not a reference line."""
    return [list(line.get_ydata()) for line in axes.lines if line.get_marker() not in ("None", "", None)]


def test_what_there_is(two):
    found, drawn, _ = two
    both = ("table1", "locations", "tiles", "scales", "oracle", "cover", "groups", "luck")
    single = [f"photos_m{k}_{kind}" for k in range(2) for kind in ("scales", "zooms")]
    assert list(drawn) == [*(f"photos_{kind}" for kind in both), *single]
    for one in drawn.values():
        assert one.about == ((0, 1) if one.name.count("_") == 1 else (int(one.name[8]),))
        assert "n = 40" in one.title.replace("\N{NO-BREAK SPACE}", " ")
    assert run_stems(found.summaries, found.names) == ["photos_m0", "photos_m1"]
    assert data_groups(found.summaries)[0].members == (0, 1)
    assert distinct(["a", "A", "b", "a"]) == ["a", "A-2", "b", "a-3"]


@pytest.mark.parametrize(
    ("kind", "what"), [("locations", "any scale at the anchor"), ("tiles", "any window on the tile")]
)
def test_maps_of_locations(two, kind, what):
    _, drawn, tables = two
    figure = drawn[f"photos_{kind}"].figure()
    maps = [axes for axes in figure.axes if axes.images]
    limits = {axes.images[0].get_clim() for axes in maps}
    assert len(maps) == 2
    assert len(limits) == 1  # one scale for all
    for k, axes in enumerate(maps):
        lines = [line for line in tables["locations"] if (line["map"], line["model"]) == (what, f"m{k}")]
        assert axes.images[0].get_array().ravel().tolist() == pytest.approx(values(lines))
        texts = [text.get_text() for text in axes.texts]
        assert texts[::2] == [f"{value:.2f}" for value in values(lines)]
        low_high = [(100 * float(line["ci_low"]), 100 * float(line["ci_high"])) for line in lines]
        assert texts[1::2] == [f"[{low:.1f}, {high:.1f}]" for low, high in low_high]


def test_scales(two):
    _, drawn, tables = two
    left, right = drawn["photos_scales"].figure().axes
    for axes, measure in ((left, "centre anchor"), (right, "any of nine anchors")):
        assert points(axes) == [pytest.approx(values(tables["scales"], model=f"m{k}", measure=measure)) for k in (0, 1)]
        assert axes.lines[0].get_xdata().tolist() == list(SCALES)
    (axes,) = drawn["photos_m1_scales"].figure().axes
    assert points(axes) == [
        pytest.approx(values(tables["scales"], model="m1", measure=measure))
        for measure in ("any of nine anchors", "centre anchor")
    ]
    low = min(axes.collections[0].get_paths()[0].vertices[:, 1])
    lines = [line for line in tables["scales"] if (line["model"], line["measure"]) == ("m1", "any of nine anchors")]
    assert low == pytest.approx(min(100 * float(line["ci_low"]) for line in lines))


def test_oracle(two):
    _, drawn, tables = two
    (axes,) = drawn["photos_oracle"].figure().axes
    assert points(axes) == [pytest.approx(values(tables["oracle"], model=f"m{k}")) for k in (0, 1)]
    # Twelve classes: 36 guesses are as many as that, and no line of guessing is known below.
    assert [line.get_label() for line in axes.lines[2:]] == ["top-36"]


def test_table_1(two):
    found, drawn, tables = two
    (axes,) = drawn["photos_table1"].figure().axes
    bars = [one for one in axes.containers if isinstance(one, ErrorbarContainer)]
    for one, measure in zip(bars, ("1-crop", "top-36 (oracle)", "upper bound"), strict=True):
        lines = [line for line in tables["table1"] if line["measure"] == measure]
        assert one.get_label() == measure
        assert one.lines[0].get_xdata() == pytest.approx(values(lines))
        ends = one.lines[2][0].get_segments()
        assert [end[0] for end, _ in ends] == pytest.approx([100 * float(line["ci_low"]) for line in lines])
        assert [end[0] for _, end in ends] == pytest.approx([100 * float(line["ci_high"]) for line in lines])
    guesses = {line.get_label(): list(line.get_xdata()) for line in axes.lines if line.get_label()[:6] == "random"}
    assert guesses == {
        "random, 36 zooms": [100 * s.random[1] for s in found.summaries],
        "random, all zooms": [100 * s.random[0] for s in found.summaries],
    }
    assert len({one.lines[0].get_marker() for one in bars} | {"x", "+"}) == 5


def test_covers(two):
    found, drawn, tables = two
    figure = drawn["photos_cover"].figure()
    bars = [one for one in figure.axes[0].containers if isinstance(one, BarContainer)]
    for one, measure in zip(bars, ("greedy cover", "best found", "lower bound"), strict=True):
        lengths = [bar.get_width() for bar in one]
        assert lengths == [value / 100 for value in values(tables["covers"], measure=measure)]
    assert [bar.get_width() for bar in bars[1]] == [s.exact_cover.size for s in found.summaries]


def test_groups(two):
    _, drawn, tables = two
    for axes, measure in zip(drawn["photos_groups"].figure().axes, ("upper bound", "alone"), strict=True):
        bars = [one for one in axes.containers if isinstance(one, BarContainer)]
        for one, group in zip(bars, ("zoom-in", "zoom-224", "zoom-out"), strict=True):
            lines = [line for line in tables["groups"] if (line["group"], line["measure"]) == (group, measure)]
            assert [bar.get_width() for bar in one] == pytest.approx(values(lines))
            ends = one.errorbar[2][0].get_segments()
            assert [end[0] for end, _ in ends] == pytest.approx([100 * float(line["ci_low"]) for line in lines])
            assert [end[0] for _, end in ends] == pytest.approx([100 * float(line["ci_high"]) for line in lines])


def test_luck(two):
    _, drawn, tables = two
    left, right = drawn["photos_luck"].figure().axes
    lines = [list(line.get_ydata()) for line in left.lines]
    assert lines == [pytest.approx(values(tables["confidence"], model=f"m{k}")) for k in (0, 1)]
    levels = [float(line["confidence"]) for line in tables["confidence"] if line["model"] == "m0"]
    assert list(left.lines[0].get_xdata()) == levels
    drawn_points = [one.lines[0].get_xdata().tolist() for one in right.containers if isinstance(one, ErrorbarContainer)]
    kinds = [(m, how) for m in ("upper bound", "1-crop") for how in ("as it is", "labels permuted")]
    assert drawn_points == [pytest.approx(values(tables["luck"], measure=m, how=how)) for m, how in kinds]
    beside = [line for line in right.lines if min(line.get_xdata()) < 0 and line.get_clip_on() is False]
    assert [line.get_marker() for line in beside] == ["", ""]  # marks of this panel mean something else
    assert [line.get_color() for line in beside] == [line.get_color() for line in left.lines]


def test_zooms(two):
    _, drawn, tables = two
    axes = drawn["photos_m0_zooms"].figure().axes[0]
    expected = values(tables["zooms"], model="m0")
    assert axes.images[0].get_array().ravel().tolist() == pytest.approx(expected)
    assert [text.get_text() for text in axes.texts] == [f"{value:.1f}" for value in expected]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == [str(scale) for scale in SCALES]
    framed = [(patch.get_x() + 0.5, patch.get_y() + 0.5) for patch in axes.patches[::2]]
    best = int(np.argmax(expected))
    assert framed == [(4, SCALES.index(256)), (best % 9, best // 9)]
    assert PAPER_GRID.rules[best].scale == SCALES[best // 9]


def test_one_frame_where_the_1_crop_is_the_best_zoom(photos, tmp_path):
    run = photo_run(tmp_path / "run", photos, ease=1)
    summary = survey([run], resamples=20).summaries[0]
    summary = replace(summary, best_rule=PAPER_GRID.rules[PAPER_GRID.one_crop])
    figure = zoom_map(summary, "title")
    assert [patch.get_linestyle() for patch in figure.axes[0].patches[1::2]] == ["-"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["1-crop, which is the best single zoom"]


def test_numbers_in_cells_stand_out_as_wcag_aa_asks(two):
    _, drawn, _ = two
    for name in ("photos_m0_zooms", "photos_m1_zooms", "photos_locations", "photos_tiles"):
        for axes in (axes for axes in drawn[name].figure().axes if axes.images):
            (image,) = axes.images
            cells = image.to_rgba(image.get_array())
            for text in axes.texts:
                col, row = (round(place) for place in text.get_position())
                light, dark = sorted((luminance(cells[row, col]), luminance(to_rgb(text.get_color()))), reverse=True)
                assert (light + 0.05) / (dark + 0.05) >= 4.5, (name, text.get_text())


def luminance(colour):
    """WCAG 2's relative luminance."""
    linear = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in colour[:3]]
    return sum(weight * p for weight, p in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_origins():
    origins = [Origin("a", 60, Published(62, "there")), Origin("b", 39, None), Origin("c<", 1, Published(3, "there"))]
    figure = origin_figure(origins, "Origin")
    pie, bars = figure.axes
    turns = [(wedge.theta2 - wedge.theta1) % 360 for wedge in pie.patches]
    assert turns == pytest.approx([216, 140.4, 3.6], abs=1e-3)
    ours, theirs = (one for one in bars.containers if isinstance(one, BarContainer))
    assert [bar.get_width() for bar in ours] == [60, 39, 1]
    assert [bar.get_width() for bar in theirs] == [62, 0, 3]
    assert {"60 (60.0 %)", "39 (39.0 %)", "1 (1.0 %)", "62", "3"} <= {text.get_text() for text in bars.texts}
    alone = origin_figure([Origin("a", 2, None), Origin("b", 1, None)], "Origin")
    assert len([one for one in alone.axes[1].containers if isinstance(one, BarContainer)]) == 1


# --- how they look and are kept


def test_text_of_an_svg_is_text_and_its_numbers_are_the_tables(two):
    _, drawn, tables = two
    svg = style.save(drawn["photos_m0_zooms"].figure(), ["svg"])["svg"].decode()
    texts = [
        "".join(node.itertext()).strip() for node in ElementTree.fromstring(svg).iter() if node.tag.endswith("text")
    ]
    numbers = [text for text in texts if re.fullmatch(r"\d+\.\d", text)]
    assert numbers == [f"{value:.1f}" for value in values(tables["zooms"], model="m0")]


def test_the_bytes_are_the_same_each_time(two):
    _, drawn, _ = two
    for name in ("photos_groups", "photos_locations", "photos_luck"):
        first, second = (style.save(drawn[name].figure(), ["svg", "pdf", "png"]) for _ in range(2))
        assert first == second
        with Image.open(io.BytesIO(first["png"])) as image:
            assert image.info["dpi"] == pytest.approx((200, 200), abs=0.1)
        for kind, content in first.items():
            assert content == style.save(drawn[name].figure(), [kind])[kind], "whatever else is written"


def test_pdf_fonts_are_embedded_as_truetype(two):
    _, drawn, _ = two
    pdf = style.save(drawn["photos_groups"].figure(), ["pdf"])["pdf"]
    plain = pdf + b"".join(_inflated(pdf))
    assert b"/FontFile2" in plain
    assert b"/Type3" not in plain
    assert b"CreationDate" not in plain


def _inflated(pdf):
    for stream in re.findall(rb"stream\r?\n(.*?)endstream", pdf, re.DOTALL):
        try:
            yield zlib.decompress(stream.strip(b"\r\n"))
        except zlib.error:
            continue


ALONE = {(k,) for k in range(1, 6)}
CASES = {
    "one image": {"images": 1, "ease": [0.5]},
    "all right": {"images": 5, "ease": [1.0, 1.0]},
    "all wrong": {"images": 5, "ease": [0.0, 0.0]},
    "six with long names": {"images": 8, "ease": [0.01, 0.1, 0.3, 0.5, 0.7, 0.9]},
}


@pytest.mark.parametrize("case", CASES)
def test_nothing_is_cut_and_no_names_overlap(case, tmp_path):
    photos = paint(tmp_path / "photos", [f"{k}.jpg" for k in range(CASES[case]["images"])])
    runs = [
        photo_run(tmp_path / f"run-{k}", photos, model=LONG[k], ease=ease, seed=k)
        for k, ease in enumerate(CASES[case]["ease"])
    ]
    found = survey(runs, resamples=20)
    origins = {"photos": [Origin(f"a_place_with_a_long_name_{k}", 3**k, Published(2**k, "x")) for k in range(12)]}
    # Of figures that are about one run alone the first stands for the others.
    for one in [one for one in drawings(found.summaries, found.names, origins) if one.about not in ALONE]:
        figure = one.figure()
        content = style.save(figure, ["png"])["png"]
        pixels = np.asarray(Image.open(io.BytesIO(content)).convert("L"))
        edges = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
        assert (edges > 250).all(), one.name  # nothing runs out of the picture
        with rc_context(style.STYLE):
            renderer = FigureCanvasAgg(figure).get_renderer()
            page = figure.bbox
            boxes = [text.get_window_extent(renderer) for text in _texts(figure)]
        for box in boxes:
            assert page.x0 <= box.x0 <= box.x1 <= page.x1, one.name
            assert page.y0 <= box.y0 <= box.y1 <= page.y1, one.name
        for k, box in enumerate(boxes):
            assert not any(_overlap(box, other) for other in boxes[k + 1 :]), one.name


def _texts(figure):
    """What names things: titles, names of axes, names at ticks, of the legend, numbers in cells and beside bars."""
    texts = [figure._suptitle] if figure._suptitle else []
    for axes in figure.axes:
        texts += [axes.title, axes.xaxis.label, axes.yaxis.label, *axes.texts]
        for labels, place, limits in (
            (axes.get_xticklabels(), 0, axes.get_xlim()),
            (axes.get_yticklabels(), 1, axes.get_ylim()),
        ):
            low, high = min(limits) - 1e-9, max(limits) + 1e-9  # ticks beyond the ends of an axis are not drawn
            texts += [label for label in labels if axes.axison and low <= label.get_position()[place] <= high]
    for legend in figure.legends:
        texts += legend.get_texts()
    return [text for text in texts if text.get_visible() and text.get_text().strip()]


def _overlap(a, b, slack=2.0):
    return min(a.x1, b.x1) - max(a.x0, b.x0) > slack and min(a.y1, b.y1) - max(a.y0, b.y0) > slack


def test_lines_and_bars_differ_without_colour():
    looks = [style.line_style(k) for k in range(28)]
    assert len({(look["color"], look["linestyle"]) for look in looks}) == 28
    assert len({(look["marker"], look["linestyle"]) for look in looks}) == 28
    assert len(set(HATCHES)) == len(HATCHES) >= len(GROUP_COLOURS)
    grey = sorted(np.dot(to_rgb(colour), [0.2126, 0.7152, 0.0722]) for colour in GROUP_COLOURS)
    assert min(np.diff(grey)) > 0.1
    lightness = colormaps[style.MAP](np.linspace(0, 1, 64))[:, :3] @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(lightness) > 0).all()


@pytest.mark.parametrize(
    ("text", "width", "lines", "broken"),
    [
        ("short", 10, 2, "short"),
        ("open_clip/ViT-L-14,openai", 14, 3, "open_clip/ViT-\nL-14,openai"),
        ("x" * 25, 10, 3, "x" * 10 + "\n" + "x" * 10 + "\n" + "x" * 5),
        ("", 10, 2, ""),
    ],
)
def test_names_are_broken_at_marks(text, width, lines, broken):
    assert style.wrapped(text, width, lines) == broken


def test_a_name_without_end_loses_its_middle():
    text = style.wrapped("a_" * 200 + "end", 20, 3)
    assert max(map(len, text.split("\n"))) <= 20
    assert len(text.split("\n")) <= 3
    assert text.startswith("a_")
    assert "…" in text
    assert text.endswith("end")


def test_letters_that_no_font_here_has_are_no_warning(two):
    figure = origin_figure([Origin("猫 🦒", 2, None), Origin("a\udcffb\x00\u202e", 1, None)], "猫")
    content = style.save(figure, ["png", "svg", "pdf"])
    text = "".join(ElementTree.fromstring(content["svg"].decode()).itertext())
    assert "猫 🦒" in text
    assert "a\\udcffb\\x00\\u202e" in text


def test_matplotlib_is_imported_only_for_figures(make_run, tmp_path):
    (truth,) = runs_of(make_run, tmp_path, 1, 3)
    code = (
        "import sys; from snellen.cli import app; "
        f"app(['report', {str(truth.path)!r}, '-f', 'csv,md,tex', '--to', {str(tmp_path / 'to')!r}, "
        "'--resamples', '9'], standalone_mode=False); print([m for m in ('matplotlib', 'torch') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert (tmp_path / "to" / "table1.csv").is_file()


def test_a_run_without_images_has_no_figures(make_run, tmp_path):
    truth = make_run(2, bad=(0, 1), path=tmp_path / "out" / "d" / "m" / "paper-fp32")
    found = survey([snellen.load_run(truth.path)], resamples=9)
    assert list(drawings(found.summaries, found.names, {})) == []
