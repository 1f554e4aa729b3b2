"""Bars: covers, groups of zooms, the control for luck, and where a data set's images come from."""

from collections.abc import Sequence

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from snellen.analysis.cover import TOP_K
from snellen.analysis.summary import Summary
from snellen.report.colours import BLACK, BLUE, GREEN, ORANGE
from snellen.report.figures.style import (
    COLOURS,
    GREY,
    HATCHES,
    STYLE,
    band,
    errors,
    line_style,
    new_figure,
    percents,
    wrapped,
)
from snellen.report.names import readable
from snellen.report.origins import Origin

GROUP_COLOURS = (BLUE, ORANGE, GREEN)
# Parts of the pie below this have no name: the bars have all of them.
NAMED = 0.04


def cover_bars(summaries: Sequence[Summary], names: Sequence[str], title: str) -> Figure:
    """How many zooms reach the upper bound: by the greedy cover, and if it was sought the best found with its bound."""
    sizes = [("greedy", [s.cover_size for s in summaries])]
    found = [s.exact_cover for s in summaries]
    if any(found):
        sizes.append(("best found", [e.size if e else 0 for e in found]))
        sizes.append(("no cover is smaller than", [e.lower_bound if e else 0 for e in found]))
    with rc_context(STYLE):
        figure, axes = _rows(len(summaries), len(sizes), 1)
        for place, (label, values) in enumerate(sizes):
            at = _offsets(len(summaries), place, len(sizes))
            colour, hatch = GROUP_COLOURS[place], HATCHES[place]
            bars = axes[0].barh(
                at, values, 0.8 / len(sizes), label=label, color=colour, hatch=hatch, edgecolor=BLACK, linewidth=0.4
            )
            axes[0].bar_label(bars, fmt="{:.0f}", padding=2, fontsize=7)
        _name_axis(axes[0], names)
        _count_axis(axes[0])
        axes[0].set_xlim(0, max(1, *(v for _, values in sizes for v in values)) * 1.12)
        axes[0].set_xlabel(f"zooms (of {max(s.zooms for s in summaries)}) that together reach the upper bound")
        figure.suptitle(wrapped(title, 90), fontsize=10)
        if len(sizes) > 1:
            figure.legend(loc="outside lower center", ncols=3)
    return figure


def table_figure(summaries: Sequence[Summary], names: Sequence[str], title: str) -> Figure:
    """The study's Table 1: 1-crop, top-36 and upper bound of each model with their 95 % intervals, and guessing."""
    kinds = (("one_crop", "1-crop", "o"), ("top_k", f"top-{TOP_K} (oracle)", "D"), ("upper", "upper bound", "s"))
    guesses = ((1, f"random, {TOP_K} zooms", "x"), (0, "random, all zooms", "+"))
    with rc_context(STYLE):
        figure, (axes,) = _rows(len(summaries), len(kinds), 1)
        for place, (share, label, marker) in enumerate(kinds):
            shares = [getattr(summary, share) for summary in summaries]
            axes.errorbar(
                percents(shares),
                _offsets(len(summaries), place, len(kinds)),
                xerr=errors(shares),
                fmt=marker,
                color=GROUP_COLOURS[place],
                markeredgecolor=BLACK,
                markeredgewidth=0.4,
                markersize=5,
                ecolor=GREY,
                elinewidth=0.8,
                capsize=1.5,
                label=label,
            )
        for which, label, marker in guesses:
            values = [100 * summary.random[which] for summary in summaries]
            axes.plot(values, range(len(summaries)), marker, color=GREY, markersize=5, label=label)
        _name_axis(axes, names)
        axes.set_xlim(-2, 102)
        axes.set_xlabel("right, %")
        figure.suptitle(wrapped(title, 90), fontsize=10)
        handles = axes.get_legend_handles_labels()[0]  # those of plain lines come first
        handles = [*handles[len(guesses) :], *handles[: len(guesses)]]
        figure.legend(handles=handles, loc="outside lower center", ncols=5, handlelength=1.2)
    return figure


def group_bars(summaries: Sequence[Summary], names: Sequence[str], title: str) -> Figure:
    """For zooming in, out and neither: what any zoom of the group gets right, and what no zoom of another does."""
    groups = list(dict.fromkeys(name for summary in summaries for name in summary.groups))
    with rc_context(STYLE):
        figure, (left, right) = _rows(len(summaries), len(groups), 2)
        for axes, which in ((left, 0), (right, 1)):
            for place, group in enumerate(groups):
                there = [k for k, summary in enumerate(summaries) if group in summary.groups]
                shares = [summaries[k].groups[group][which] for k in there]
                axes.barh(
                    _offsets(len(summaries), place, len(groups))[there],
                    percents(shares),
                    0.8 / len(groups),
                    xerr=errors(shares),
                    error_kw={"elinewidth": 0.8, "capsize": 1.5},
                    label=group if which == 0 else None,
                    color=GROUP_COLOURS[place],
                    hatch=HATCHES[place],
                    edgecolor=BLACK,
                    linewidth=0.4,
                )
        _name_axis(left, names)
        left.set_xlim(0, 102)
        left.set_xlabel("upper bound of the group, %")
        right.set_xlim(left=0)
        right.set_xlabel("right in this group alone, %")
        figure.suptitle(wrapped(title, 90), fontsize=10)
        figure.legend(loc="outside lower center", ncols=3)
    return figure


def luck_figure(summaries: Sequence[Summary], names: Sequence[str], title: str) -> Figure:
    """Left the upper bound that counts confident answers alone; right the shares beside those under permuted labels."""
    with rc_context(STYLE):
        figure = new_figure(9.2, max(3.4, 0.42 * len(summaries) + 2.4))
        left, right = figure.subplots(1, 2)
        for place, summary in enumerate(summaries):
            levels = [level for level, _ in summary.luck.confident]
            shares = [share for _, share in summary.luck.confident]
            style = line_style(place)
            left.plot(levels, percents(shares), **style | {"marker": ""})
            band(left, levels, shares, style["color"])
        left.set_ylim(-2, 102)
        left.set_xlabel("t: least confidence of an answer that counts")
        left.set_ylabel("upper bound at confidence ≥ t, %")
        at = np.arange(len(summaries))
        for share, what, marker, shift in (("upper", "upper bound", "s", -0.17), ("one_crop", "1-crop", "o", 0.17)):
            shares = [getattr(summary, share) for summary in summaries]
            right.errorbar(
                percents(shares), at + shift, xerr=errors(shares), fmt=marker, color=BLACK, label=what, elinewidth=0.8
            )
            permuted = [next((p for p in summary.luck.permuted if p.what == what), None) for summary in summaries]
            there = [k for k, p in enumerate(permuted) if p is not None]
            right.errorbar(
                [100 * p.mean for p in permuted if p],
                at[there] + shift,
                xerr=[
                    [100 * (p.mean - p.low) for p in permuted if p],
                    [100 * (p.high - p.mean) for p in permuted if p],
                ],
                fmt=marker,
                color=GREY,
                markerfacecolor="white",
                label=f"{what}, labels permuted",
                elinewidth=0.8,
            )
        _name_axis(right, names)
        for place in range(len(summaries)) if len(summaries) > 1 else ():
            # The name of a row stands for the line on the left too: no second list of names is needed.
            # It has no marker: those of this panel tell the upper bound and 1-crop apart.
            style = line_style(place) | {"marker": ""}
            right.plot([-0.09, -0.02], [place] * 2, transform=right.get_yaxis_transform(), clip_on=False, **style)
        right.tick_params(axis="y", pad=25 if len(summaries) > 1 else 3)
        right.set_xlim(-2, 102)
        right.set_xlabel("%")
        figure.suptitle(wrapped(title, 110), fontsize=10)
        figure.legend(loc="outside lower center", ncols=4, handlelength=1.2)
    return figure


def origin_figure(origins: Sequence[Origin], title: str) -> Figure:
    """Where the images of a data set come from, as a pie and as bars; published counts beside ours."""
    total = sum(origin.images for origin in origins)
    published = any(origin.published for origin in origins)
    with rc_context(STYLE):
        figure = new_figure(9.2, max(3.4, (0.34 if published else 0.26) * len(origins) + 1.4))
        left, right = figure.subplots(1, 2, width_ratios=(1, 1.5))
        colours = [COLOURS[k % (len(COLOURS) - 1)] for k in range(len(origins))]
        hatches = [HATCHES[k // (len(COLOURS) - 1) % len(HATCHES)] for k in range(len(origins))]
        left.pie(
            [origin.images for origin in origins],
            labels=[wrapped(readable(one.name), 18, 2) if one.images >= NAMED * total else "" for one in origins],
            colors=colours,
            hatch=hatches,
            startangle=90,
            counterclock=False,
            wedgeprops={"edgecolor": "white", "linewidth": 0.8},
            textprops={"fontsize": 7},
        )
        at, height = np.arange(len(origins), dtype=float), 0.4 if published else 0.75
        ours = [origin.images for origin in origins]
        bars = right.barh(at - (0.2 if published else 0.0), ours, height, color=colours, label="here")
        for bar, hatch in zip(bars, hatches, strict=True):
            bar.set(hatch=hatch, edgecolor=BLACK, linewidth=0.4)
        right.bar_label(bars, [f"{count:,} ({100 * count / total:.1f} %)" for count in ours], padding=2, fontsize=7)
        theirs = [origin.published.value if origin.published else 0 for origin in origins]
        if published:
            look = {"color": "white", "edgecolor": GREY, "hatch": "////", "linewidth": 0.6}
            beside = right.barh(at + 0.2, theirs, height, label="published", **look)
            counts = [f"{count:,.0f}" if count else "" for count in theirs]
            right.bar_label(beside, counts, padding=2, fontsize=7, color=GREY)
            figure.legend(handles=[bars, beside], loc="outside lower center", ncols=2)
        _count_axis(right)
        right.set_xlim(0, max(*ours, *theirs) * 1.4)
        right.set_yticks(at, [wrapped(readable(origin.name), 28, 2) for origin in origins])
        right.invert_yaxis()
        right.grid(visible=False, axis="y")
        right.set_xlabel(f"images (n = {total:,})")
        figure.suptitle(wrapped(title, 110), fontsize=10)
    return figure


def _rows(models: int, bars: int, panels: int) -> tuple[Figure, NDArray[np.object_]]:
    """A figure with a row for each model, high enough for its bars and for three lines of its name."""
    figure = new_figure(7.6 if panels == 1 else 9.2, max(0.16 * bars, 0.42) * models + 1.7)
    return figure, figure.subplots(1, panels, squeeze=False, sharey=True)[0]


def _offsets(models: int, place: int, of: int) -> NDArray[np.float64]:
    """Where the bars of one kind stand, of `of` kinds for each model."""
    return np.arange(models, dtype=np.float64) + 0.8 * ((place + 0.5) / of - 0.5)


def _count_axis(axes: Axes) -> None:
    """Whole numbers, few enough to stand beside each other."""
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.xaxis.set_major_formatter("{x:,.0f}")


def _name_axis(axes: Axes, names: Sequence[str]) -> None:
    """Models from top to bottom."""
    axes.set_yticks(range(len(names)), [wrapped(name) for name in names])
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.grid(visible=False, axis="y")
