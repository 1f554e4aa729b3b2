"""Tables as they are read: on a terminal, in Markdown and in LaTeX."""

import re
import unicodedata
from collections.abc import Sequence

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table as RichTable
from rich.text import Text as RichText

from snellen.report.table import Shown, Table, Text, head_lines, shown

# Numbers beside names: more columns than this do not fit one column of a page.
NARROW = 3
# More than this do not fit the page: the table is made smaller.
WIDE = 6


def print_tables(tables: Sequence[Table], notes: Sequence[str], console: Console) -> None:
    """Print what is short enough to be read, after the notes of the whole."""
    for note in notes:
        console.print(f"Note: {note}.", style="yellow", markup=False, highlight=False, soft_wrap=True)
    for table in tables:
        if table.listed:
            print_table(table, console)


def print_table(table: Table, console: Console) -> None:
    """Print a table; one that is wider than the console is printed in parts, each with the names of its rows."""
    form = shown(table)
    console.print(form.title, style="bold", markup=False, highlight=False, soft_wrap=True)
    if not form.rows:
        console.print("Nothing to show.")
    start = 0
    while form.rows and start < len(form.heads):
        stop, broken = start + 1, False
        if not _fits(form, start, stop, console, broken):
            broken = True
        while stop < len(form.heads) and _fits(form, start, stop + 1, console, broken):
            stop += 1
        console.print(_part(form, start, stop, broken))
        start = stop
    for note in form.notes:
        console.print(note, markup=False, highlight=False, soft_wrap=True)


def _fits(form: Shown, start: int, stop: int, console: Console, broken: bool) -> bool:
    need = Measurement.get(console, console.options.update(max_width=10_000), _part(form, start, stop, broken))
    return need.maximum <= console.width


def _part(form: Shown, start: int, stop: int, broken: bool) -> RichTable:
    """Columns `start` … `stop` of a table; `broken`: intervals below their numbers."""
    part = RichTable()
    for name in form.names:
        part.add_column(RichText(name), overflow="fold")
    for head in form.heads[start:stop]:
        part.add_column(RichText("\n".join(text for text in head if text)), justify="right", overflow="fold")
    for names, cells, block in form.rows:
        if block:
            part.add_section()
        part.add_row(*map(RichText, names), *(_rich(cell, broken) for cell in cells[start:stop]))
    return part


def _rich(cell: Text, broken: bool) -> RichText:
    text = RichText(cell.main, style="bold" if cell.best else "")
    if cell.rest:
        text.append("\n" if broken else " ", style="not bold").append(cell.rest, style="not bold")
    return text


def as_markdown(table: Table) -> str:
    """A table in GitHub's Markdown, below a heading."""
    form = shown(table)
    heads = [markdown(head) for head in (*form.names, *head_lines(form.heads))]
    lines = [f"## {markdown(form.title)}", ""]
    if form.rows:
        lines.append(f"| {' | '.join(heads)} |")
        lines.append("|" + "---|" * len(form.names) + "---:|" * len(form.heads))
        for names, cells, _ in form.rows:
            shown_cells = [*map(markdown, names), *map(_markdown_cell, cells)]
            lines.append(f"| {' | '.join(shown_cells)} |")
    else:
        lines.append("Nothing to show.")
    notes = " ".join(markdown(note) for note in form.notes)
    return "\n".join([*lines, *(["", notes] if notes else []), ""])


def markdown(text: str) -> str:
    """Plain text that Markdown leaves as it is."""
    escaped = re.sub(r"([\\`*_\[\]<>|#~&])", r"\\\1", " ".join(text.split()))
    # Addresses and names of users would become links, of users who are told: Hub and GitHub look for them in what is
    # shown, where an escape is gone already and only a comment stands between.
    escaped = re.sub(r"(?<![\w/.])@(?=\w)", "@<!-- -->", escaped)
    return re.sub(r"(?i)(?<=www)\.|(?<=[a-z]):(?=//)", r"\\\g<0>", escaped)


def _markdown_cell(cell: Text) -> str:
    main = f"**{cell.main}**" if cell.best and cell.main else cell.main
    return f"{main} {cell.rest}".strip()


def as_latex(table: Table) -> str:
    """A table for LaTeX with the package booktabs, in a float with caption and label; wide ones also need graphicx."""
    form = shown(table)
    float_name = "table*" if len(form.heads) > NARROW else "table"
    shrunk = len(form.heads) > WIDE
    caption = " ".join([f"{latex(form.title)}.", *map(latex, form.notes)])
    lines = [
        r"% Needs \usepackage{booktabs,graphicx}." if shrunk else r"% Needs \usepackage{booktabs}.",
        rf"\begin{{{float_name}}}[t]",
        r"\centering",
        rf"\caption{{{caption}}}",
        rf"\label{{tab:snellen-{table.name}}}",
        r"\footnotesize",
        r"\setlength{\tabcolsep}{4pt}",
        *([r"\resizebox{\textwidth}{!}{%"] if shrunk else []),
        rf"\begin{{tabular}}{{{'l' * len(form.names)}{'r' * len(form.heads)}}}",
        r"\toprule",
        _latex_row([*map(latex, form.names), *map(_latex_head, form.heads)]),
        r"\midrule",
    ]
    for names, cells, block in form.rows:
        if block:
            lines.append(r"\midrule")
        lines.append(_latex_row([*map(latex, names), *map(_latex_cell, cells)]))
    lines += [r"\bottomrule", r"\end{tabular}}" if shrunk else r"\end{tabular}", rf"\end{{{float_name}}}", ""]
    return "\n".join(lines)


def _latex_row(cells: Sequence[str]) -> str:
    return " & ".join(cells) + r" \\"


def _latex_head(head: Sequence[str]) -> str:
    lines = [latex(text) for text in head if text]
    return lines[0] if len(lines) == 1 else r"\shortstack[r]{" + r" \\ ".join(lines) + "}"


def _latex_cell(cell: Text) -> str:
    main = latex(cell.main)
    main = rf"\textbf{{{main}}}" if cell.best and main else main
    return rf"{main} {{\scriptsize {latex(cell.rest)}}}" if cell.rest else main


SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": "$<$",
    ">": "$>$",
    "|": "$|$",
    '"': "{''}",
    "`": r"\textasciigrave{}",
    "'": r"\textquotesingle{}",
    "–": "--",
    "−": "$-$",
    "≥": r"$\geq$",
    "×": r"$\times$",
    "±": r"$\pm$",
    "…": r"\ldots{}",
    "[": "{[}",
    "]": "{]}",
}
# What LaTeX's oldest encoding, OT1, can set: others would end the compilation.
ACCENTS = set("\u0300\u0301\u0302\u0303\u0304\u0306\u0307\u0308\u030a\u030b\u030c\u0327")
LETTERS = set("ßæøœłÆØŒŁ")


def latex(text: str) -> str:
    r"""Plain text as LaTeX that sets it, with any engine; letters beyond the Latin ones as their code points.

    >>> latex("50 % of resnet_50 & {x}")
    '50 \\% of resnet\\_50 \\& \\{x\\}'
    """
    return "".join(_latex_character(one) for one in " ".join(text.split()))


def _latex_character(one: str) -> str:
    if one in SPECIAL:
        return SPECIAL[one]
    parts = unicodedata.normalize("NFD", one)
    accented = "À" <= one <= "ſ" and " " <= parts[0] <= "~" and set(parts[1:]) <= ACCENTS
    return one if " " <= one <= "~" or one in LETTERS or accented else f"U+{ord(one):04X}"
