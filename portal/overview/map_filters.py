"""What the Filters tab of a map's page shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.http import HttpRequest
from django.utils.http import urlencode

from portal.maps.filter_trial import MapTrial, SideTrial, try_filters, untried_filters
from portal.maps.models import TableMap
from portal.overview.filter_help import EXAMPLES, Examples
from syncengine.filter_trial import RowCount
from syncengine.mapping.compiled import Row
from syncengine.mapping.model import Side

RESULTS = "filter-trial"
"""The id of the form, which HTMX names when it wants the results alone."""

LONGEST = 2000
"""A longer text does not fit the address of a page."""

HINTS = {
    Side.FINOPS: 'Range expression: == != < <= > >=, like "A*", in (…), not in (…), '
    "&& || !, Enum::Value, null.",
    Side.DATAVERSE: "OData: eq ne lt le gt ge, in (…), startswith, endswith, contains, "
    "and or not, null.",
}


@dataclass(frozen=True)
class Excerpt:
    """The line with a mistake: what stands before the place, at it and after it."""

    before: str
    at: str
    after: str


@dataclass(frozen=True)
class SampleRow:
    """A row of the table, and whether the filter takes it."""

    matches: bool
    values: Sequence[tuple[str, str | None]]


@dataclass(frozen=True)
class FilterCard:
    """One side of the tab. `tried` is false while the rows are still being counted."""

    one: SideTrial
    hint: str
    tried: bool
    too_long: bool
    excerpt: Excerpt | None
    rows: Sequence[SampleRow]

    @property
    def examples(self) -> Examples:
        """Filters of this side, with what they say."""
        return EXAMPLES[self.one.side]

    @property
    def matching(self) -> str:
        """How many rows match, as a person says it."""
        return _said(self.one.trial.matching) if self.one.trial else ""

    @property
    def other(self) -> str:
        """How many rows do not."""
        return _said(self.one.trial.other) if self.one.trial else ""


@dataclass(frozen=True)
class FiltersTab:
    """Both sides. `query` is what the results are asked for with, empty once they are
    there."""

    cards: Sequence[FilterCard]
    edited: bool
    query: str


def wants_results(request: HttpRequest) -> bool:
    """True when HTMX asks for the results, which go into a page that is there."""
    return request.headers.get("HX-Target") == RESULTS


def filters_tab(request: HttpRequest, table_map: TableMap) -> FiltersTab | None:
    """The filters of the map, or the texts of the address in their place; tried when
    the results are asked for, or where no script would ask for them. None when the map
    has no version."""
    if table_map.version is None:
        return None
    texts = {
        side: request.GET[side.value].replace("\r\n", "\n")
        for side in Side
        if side.value in request.GET
    }
    tried = wants_results(request) or "try" in request.GET
    finops, dataverse = texts.get(Side.FINOPS), texts.get(Side.DATAVERSE)
    found = (
        try_filters(table_map, finops=finops, dataverse=dataverse)
        if tried
        else untried_filters(table_map, finops=finops, dataverse=dataverse)
    )
    return FiltersTab(
        cards=[filter_card(one, tried=tried) for one in found.sides],
        edited=_edited(found),
        query="" if tried else urlencode({s.value: text for s, text in texts.items()}),
    )


def _edited(found: MapTrial) -> bool:
    return any(one.edited for one in found.sides)


def filter_card(one: SideTrial, *, tried: bool) -> FilterCard:
    """One side as it is shown, tried or not."""
    return FilterCard(
        one=one,
        hint=HINTS[one.side],
        tried=tried,
        too_long=len(one.text) > LONGEST,
        excerpt=_excerpt(one),
        rows=_samples(one),
    )


def _excerpt(one: SideTrial) -> Excerpt | None:
    mistake = one.trial.error if one.trial else None
    line, _, caret = (mistake.details.get("place", "") if mistake else "").partition(
        "\n"
    )
    if not caret:
        return None
    at = len(caret) - 1
    return Excerpt(line[:at], line[at : at + 1] or " ", line[at + 1 :])


def _samples(one: SideTrial) -> list[SampleRow]:
    trial = one.trial
    if trial is None:
        return []

    def rows(sample: Sequence[Row], *, matches: bool) -> list[SampleRow]:
        return [
            SampleRow(matches, list(zip(trial.columns, row, strict=True)))
            for row in sample
        ]

    return [
        *rows(trial.matching_sample, matches=True),
        *rows(trial.other_sample, matches=False),
    ]


def _said(count: RowCount) -> str:
    number = f"{count.rows:,}"
    if not count.more:
        return number
    return f"more than {number}" if count.rows else "not counted in time"
