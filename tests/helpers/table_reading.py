"""The tables of a report as tests make and read them."""

import csv
import io

from statsmodels.stats.contingency_tables import mcnemar

from snellen.analysis.survey import survey
from snellen.report.table import as_csv
from snellen.report.write import make_tables
from snellen.zoom import paper_grid

# Of each group of zooms one scale, or two.
SMALL = paper_grid(224, (128, 224, 256, 384))


def tables_of(runs, labels=(None,), *, errata=False, **options):
    """The tables of a report on these runs, by name."""
    found = survey(runs, labels, **{"resamples": 20} | options)
    return {table.name: table for table in make_tables(found, runs, errata=errata)}


def lines_of(table):
    """The lines of a table's CSV, each by column."""
    return list(csv.DictReader(io.StringIO(as_csv(table))))


def hits(line):
    """How many images a line's share is of."""
    return round(float(line["value"]) * int(line["n"]))


def mcnemar_p(a, b):
    """The exact p of McNemar's test on two bool arrays `[images]`, by statsmodels."""
    table = [[(a & b).sum(), (a & ~b).sum()], [(~a & b).sum(), (~a & ~b).sum()]]
    return mcnemar(table, exact=True).pvalue
