"""Each written form of a table read back by an independent reader: CSV, Markdown, LaTeX, the terminal."""

import csv
import io
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from pylatexenc.latex2text import LatexNodes2Text
from pylatexenc.latexwalker import LatexEnvironmentNode, LatexWalker
from rich.console import Console
from table_reading import SMALL, lines_of, tables_of

from snellen.report.table import Number, Row, Table, as_csv, as_text, shown
from snellen.report.tabular import html_table
from snellen.report.writers import as_latex, as_markdown, latex, print_table


def test_what_is_read_ends_where_the_cover_is_complete(three):
    _, runs = three
    table = tables_of(runs)["oracle"]
    taken = [row for row in table.rows if row.names[-1]]
    assert len(table.rows) == 3 * len(SMALL) > len(taken) == len(shown(table).rows) == len(html_table(table).rows)


NAMES = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp")), min_size=1, max_size=12)


@given(NAMES)
def test_latex_reads_as_the_text(text):
    plain = " ".join(text.split())
    seen = LatexNodes2Text(math_mode="text", keep_comments=False).latex_to_text(latex(text))
    # TeX joins hyphens and quotes into other marks; what it cannot set stands as its code point.
    written = "".join(one if one in seen or one in '"^~' else f"U+{ord(one):04X}" for one in plain)
    assert _marks(seen) == _marks(written)


@pytest.mark.parametrize("text", ["".join(map(chr, range(32, 127))), "é ß ł Å ñ ç", "≥ × ± – …"])
def test_latex_sets_what_is_common(text):
    assert "U+" not in latex(text)


def _marks(text):
    for group, mark in (("^ˆ", "^"), ("~˜", "~"), ("-–−—", "-"), ("'’‘`´", "'"), ('"”“', "''"), ("⩾≥", "≥")):
        for one in group:
            text = text.replace(one, mark)
    return "".join(text.replace("...", "…").split())


@pytest.mark.parametrize("hostile", ["50% & $x_1$ #2 {a}\\b ~^", "][", "\\end{tabular}", "%", "é ß ł ą 猫 🦒", "a|b"])
def test_a_table_with_hostile_names_is_whole_in_every_form(hostile):
    numbers = (Number(0.5, 0.4, 0.6, 10, best=True), Number(3, kind="count", published=5, source=hostile))
    rows = tuple(Row((hostile, f"{hostile} {k}"), numbers) for k in range(2))
    table = Table("t", hostile, ("data", "model"), ("measure",), ((hostile,), ("b",)), rows, (hostile,))
    text = as_latex(table)
    nodes, _, _ = LatexWalker(text, tolerant_parsing=False).get_latex_nodes()
    floats = [node for node in nodes if node.isNodeType(LatexEnvironmentNode)]
    assert [node.environmentname for node in floats] == ["table*"]
    inside = [node.environmentname for node in floats[0].nodelist if node.isNodeType(LatexEnvironmentNode)]
    assert inside == ["tabular"]
    body = text.partition(r"\toprule")[2].partition(r"\bottomrule")[0]
    lines = [line for line in body.splitlines() if line.endswith(r"\\")]
    columns = text.partition(r"\begin{tabular}{")[2].partition("}")[0]
    assert len(lines) == 3
    for line in lines:
        assert line.replace(r"\&", "").count("&") == len(columns) - 1
    assert text.count("{") - text.count(r"\{") == text.count("}") - text.count(r"\}")
    read = csv.reader(io.StringIO(as_csv(table)))
    assert {row[1] for row in list(read)[1:]} == {f"{hostile} 0", f"{hostile} 1"}
    cells = markdown_cells(as_markdown(table))
    assert [row[0] for row in cells[1:]] == [f"{hostile} 0", f"{hostile} 1"]
    out = io.StringIO()
    print_table(table, Console(file=out, width=200))
    assert f"{hostile} 1" in out.getvalue()


def markdown_cells(text):
    """The cells of the tables of a Markdown text, as an independent reader sees them."""
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    rows, inside = [], False
    for token in tokens:
        if token.type == "tr_open":
            rows.append([])
        if token.type in ("th_open", "td_open"):
            inside = True
        elif inside and token.type == "inline":
            rows[-1].append("".join(child.content for child in token.children))
            inside = False
    return rows


def test_every_form_has_the_same_numbers(three):
    _, runs = three
    for table in tables_of(runs).values():
        form = shown(table)
        expected = [[f"{cell.main} {cell.rest}".strip() for cell in cells] for _, cells, _ in form.rows]
        names = len(form.names)
        assert [row[names:] for row in markdown_cells(as_markdown(table))[1:]] == expected
        body = as_latex(table).partition(r"\midrule")[2].partition(r"\bottomrule")[0]
        lines = [line.removesuffix(r"\\") for line in body.splitlines() if line.endswith(r"\\")]
        read = [
            ["".join(LatexNodes2Text(math_mode="text").latex_to_text(cell).split()) for cell in line.split("&")][names:]
            for line in lines
        ]
        assert [[_marks(cell) for cell in row] for row in read] == [[_marks(cell) for cell in row] for row in expected]
        flat = [one for row in table.rows for one in row.numbers if one is not None]
        for line, one in zip(lines_of(table), flat, strict=True):
            assert line["value"] == ("" if one.value != one.value else str(one.value))
            cell = as_text(one.value, one.kind)
            assert any(cell in row for row in itertools.chain(*expected))


@pytest.mark.parametrize("width", [60, 80, 160])
def test_a_wide_table_is_printed_in_parts_that_fit(three, width):
    _, runs = three
    for table in tables_of(runs).values():
        if table.listed:
            text = io.StringIO()
            print_table(table, Console(file=text, width=width, legacy_windows=False))
            drawn = [line for line in text.getvalue().splitlines() if line[:1] in "│┃┏┡└├"]
            assert max(map(len, drawn)) <= width
            values = [cell.main for _, cells, _ in shown(table).rows for cell in cells if cell.main]
            assert all(any(value in line for line in drawn) for value in values), table.name


def test_what_is_the_same_for_all_is_said_once():
    rows = tuple(Row(("imagenet", "real", model), (Number(0.5, n=n), None)) for model, n in (("a", 10), ("b", 12)))
    table = Table("t", "Title", ("data", "labels", "model"), ("measure",), (("x",), ("y",)), rows)
    form = shown(table)
    assert form.title == "Title: imagenet, labels real"
    assert form.names == ("model",)
    assert [cells[0].rest for _, cells, _ in form.rows] == ["(n = 10)", "(n = 12)"]
    same = Table("t", "Title", ("data", "model"), ("measure",), (("x",),), (Row(("d", "a"), (Number(0.5, n=1234),)),))
    assert shown(same).notes == ("n = 1,234 for every number.",)
