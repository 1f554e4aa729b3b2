"""What `snellen bench` measured, on a terminal."""

from rich.console import Console
from rich.table import Table

from snellen.bench import Bench, Row
from snellen.report.tables import interval, percent


def print_bench(bench: Bench, console: Console) -> None:
    """Print the table, what was left out and why, and what `--backend auto` means from now on."""
    one = "process" if bench.workers == 1 else "processes"
    title = f"{bench.model} on {bench.device}: views/s of {bench.workers} {one} together, by batch size"
    console.print(title, style="bold", markup=False, highlight=False, soft_wrap=True)
    batches = sorted({batch for row in bench.rows for batch in row.rates})
    table = Table("precision", "backend")
    for name in (*map(str, batches), "largest difference", "same answer %", "95 % interval", "n", "auto"):
        table.add_column(name, justify="right")
    for row in bench.rows:
        table.add_row(*_cells(row, batches, bench.auto.get(row.precision) == row.backend))
    console.print(table)
    console.print(
        "Largest difference: of a logit from eager PyTorch in float32, over 1 + the largest logit. Same answer: as it, "
        "on views of the shipped photographs."
    )
    for backend, precision, why in bench.left_out:
        console.print(f"Left out: {backend} {precision}: {why}", soft_wrap=True, highlight=False, markup=False)
    for precision, backend in bench.auto.items():
        console.print(f"--backend auto at {precision} is {backend} from now on, for this model on this machine.")


def _cells(row: Row, batches: list[int], auto: bool) -> list[str]:
    rates = [f"{row.rates[batch]:,.0f}" if batch in row.rates else "–" for batch in batches]
    rates = [
        f"[bold]{rate}[/]" if batch == row.batch_size else rate for rate, batch in zip(rates, batches, strict=True)
    ]
    apart = f"{row.apart:.1e}" + (" too large" if row.agrees is False else "")
    mark = "✓" if auto else ""
    return [
        row.precision,
        row.backend,
        *rates,
        apart,
        percent(row.equal.value),
        interval(row.equal),
        str(row.equal.n),
        mark,
    ]
