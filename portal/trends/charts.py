"""The dashboard's charts as plain shapes, drawn by a template as SVG: no script, no
outside host. Widths and heights are percent of the drawing; words stand beside it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import floor, log10

from portal.trends.models import Span
from portal.trends.queries import LARGER, Figures, Window

WIDTH = 1000.0
HEIGHT = 100.0
PER = {
    Span.MINUTE: "per minute",
    Span.QUARTER: "per 15 minutes",
    Span.TWO_HOURS: "per two hours",
}
GAP = 0.22
"""The share of a bar's place that stays empty."""


@dataclass(frozen=True)
class Bar:
    """A piece of a bar: of what, and where."""

    tone: str
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Mark:
    """A place of the time line with what is said of it when it is pointed at."""

    x: float
    width: float
    words: str


@dataclass(frozen=True)
class Series:
    """A line of the legend: its tone, name, and the figure of the whole window."""

    tone: str
    name: str
    figure: str


@dataclass(frozen=True)
class Chart:
    """One chart. `summary` says in a sentence what it shows, for who cannot see it."""

    name: str
    unit: str
    top: str
    middle: str
    series: Sequence[Series]
    bars: Sequence[Bar]
    lines: Sequence[tuple[str, str]]
    marks: Sequence[Mark]
    times: Sequence[str]
    summary: str
    empty: bool


def throughput(window: Window) -> Chart:
    """Records carried over, stacked: to Dataverse, to FinOps, copied at first."""
    names = (
        ("to-dataverse", "To Dataverse"),
        ("to-finops", "To FinOps"),
        ("copied", "Initial syncs"),
    )
    values = [_stacked(one) for one in window.figures]
    top = nice_top(max((sum(one) for one in values), default=0), least=4)
    place = WIDTH / len(values)
    bars = []
    for number, stack in enumerate(values):
        below = 0
        for (tone, _), value in zip(names, stack, strict=True):
            if value:
                height = HEIGHT * value / top
                y = HEIGHT - HEIGHT * below / top - height
                bars.append(
                    Bar(
                        tone,
                        round(place * (number + GAP / 2), 2),
                        round(y, 2),
                        round(place * (1 - GAP), 2),
                        round(height, 2),
                    )
                )
            below += value
    sums = [sum(one[number] for one in values) for number in range(len(names))]
    series = [
        Series(tone, name, f"{value:,}")
        for (tone, name), value in zip(names, sums, strict=True)
        if value or tone != "copied"
    ]
    told = ", ".join(f"{one.name.lower()} {one.figure}" for one in series)
    return Chart(
        name="Records carried over",
        unit=PER[window.span],
        top=short(top),
        middle=short(top / 2),
        series=series,
        bars=bars,
        lines=(),
        marks=_marks(window, _carried_words),
        times=_times(window),
        summary=f"Records carried over in the last {window.name}: {told}.",
        empty=not any(one.known for one in window.figures),
    )


def lag(window: Window) -> Chart:
    """The largest lag of each direction, as lines with gaps where nothing is known."""
    both = (
        ("to-dataverse", "To Dataverse", [one.lag_to_dataverse for one in window]),
        ("to-finops", "To FinOps", [one.lag_to_finops for one in window]),
    )
    known = [value for _, _, values in both for value in values if value is not None]
    top = nice_top(max(known, default=0.0), least=1)
    lines = []
    series = []
    for tone, name, values in both:
        lines += [(tone, path) for path in _paths(values, top)]
        worst = max((one for one in values if one is not None), default=None)
        figure = "–" if worst is None else seconds(worst)  # noqa: RUF001
        series.append(Series(tone, name, figure))
    told = ", ".join(f"{one.name.lower()} {one.figure}" for one in series)
    return Chart(
        name="Lag",
        unit=f"the longest {PER[window.span]}",
        top=seconds(top),
        middle=seconds(top / 2),
        series=series,
        bars=(),
        lines=lines,
        marks=_marks(window, _lag_words),
        times=_times(window),
        summary=f"Longest lag in the last {window.name}: {told}.",
        empty=not known,
    )


def nice_top(value: float, *, least: float) -> float:
    """The end of a scale that holds the value: 1, 2 or 5 and zeros."""
    value = max(value, least)
    power = 10.0 ** floor(log10(value))
    return next(
        step * power for step in (1, 2, 4, 5, 10) if step * power >= value * 0.999999
    )


def short(value: float) -> str:
    """A number as the side of a chart has room for: 800, 1.5k, 2M."""
    for limit, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= limit:
            return f"{value / limit:g}{letter}"
    return f"{value:g}"


def seconds(value: float) -> str:
    """A time as the side of a chart has room for."""
    if value < 1:
        return f"{value * 1000:.0f} ms"
    if value < 120:
        return f"{value:.1f} s" if value < 10 and value % 1 else f"{value:.0f} s"
    if value < 7200:
        return f"{value / 60:.0f} min"
    return f"{value / 3600:.0f} h"


def _stacked(one: Figures) -> tuple[int, int, int]:
    return one.to_dataverse, one.to_finops, one.copied


def _paths(values: Sequence[float | None], top: float) -> list[str]:
    """One path for each stretch without a gap; a lone value is a short dash."""
    place = WIDTH / len(values)
    found: list[str] = []
    open_path: list[str] = []
    for number, value in enumerate([*values, None]):
        if value is not None:
            x, y = place * (number + 0.5), HEIGHT - HEIGHT * min(value / top, 1)
            open_path.append(f"{x:.1f} {y:.2f}")
        elif open_path:
            if len(open_path) == 1:
                x_text, y_text = open_path[0].split()
                open_path.append(f"{float(x_text) + place / 2:.1f} {y_text}")
            found.append("M" + "L".join(open_path))
            open_path = []
    return found


def _marks(window: Window, words: Callable[[Window, Figures], str]) -> list[Mark]:
    place = WIDTH / len(window.figures)
    return [
        Mark(round(place * number, 2), round(place, 2), words(window, one))
        for number, one in enumerate(window.figures)
        if one.known
    ]


def _carried_words(window: Window, one: Figures) -> str:
    copied = f", {one.copied:,} copied by initial syncs" if one.copied else ""
    return (
        f"{_when(window, one.began_at)}: {one.to_dataverse:,} to Dataverse, "
        f"{one.to_finops:,} to FinOps{copied}"
    )


def _lag_words(window: Window, one: Figures) -> str:
    parts = [
        f"{seconds(value)} {name}"
        for name, value in (
            ("to Dataverse", one.lag_to_dataverse),
            ("to FinOps", one.lag_to_finops),
        )
        if value is not None
    ]
    return f"{_when(window, one.began_at)}: {', '.join(parts) or 'not running'}"


def _when(window: Window, moment: datetime) -> str:
    end = moment + timedelta(seconds=window.span)
    day = f"{moment:%a %d %b} " if window.span >= LARGER else ""
    if window.span == Span.MINUTE:
        return f"{moment:%H:%M} UTC"
    return f"{day}{moment:%H:%M} to {end:%H:%M} UTC"


def _times(window: Window) -> list[str]:
    """Five moments below the chart, first to last."""
    first = window.figures[0].began_at
    length = window.figures[-1].began_at - first
    form = "%a %d" if window.span >= LARGER else "%H:%M"
    return [f"{first + length * part / 4:{form}}" for part in range(5)]
