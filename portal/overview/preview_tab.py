"""What the Preview tab of a map's page shows: records as they would be written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest

from portal.labels import DIRECTIONS
from portal.maps.models import TableMap
from portal.maps.preparation import definition
from portal.refusals import Refusal
from portal.runs.preview import MOST, SAMPLE, preview_map
from syncengine.errors import EngineError
from syncengine.mapping.model import Direction
from syncengine.mapping.model import TableMap as Definition
from syncengine.mapping.problems import CompilationError
from syncengine.preview import PreviewColumn, PreviewRecord


@dataclass(frozen=True)
class PreviewAsked:
    """What the address asks for. Nothing is read before a direction is chosen."""

    direction: Direction | None
    key: str
    sample: int
    only: bool

    @staticmethod
    def read(request: HttpRequest) -> PreviewAsked:
        """From the query string; what cannot be used is as if it were not there."""
        wanted = request.GET.get("direction", "")
        sample = request.GET.get("sample", "")
        number = int(sample) if sample.isdecimal() and len(sample) < 4 else SAMPLE
        return PreviewAsked(
            direction=Direction(wanted) if wanted in list(Direction) else None,
            key=request.GET.get("key", "").strip(),
            sample=min(max(number, 1), MOST),
            only=request.GET.get("only") == "on",
        )


@dataclass(frozen=True)
class ShownColumn:
    """One column of a record, and whether it is the one that fails."""

    column: PreviewColumn
    failing: bool


@dataclass(frozen=True)
class ShownRecord:
    """One record: `state` is `error`, `new`, `differs` or `same`. `hidden` columns are
    those that do not differ, when only differences are wanted."""

    record: PreviewRecord
    key: str
    state: str
    columns: Sequence[ShownColumn]
    hidden: int

    @property
    def mapped(self) -> bool:
        """True when the columns have results, be they null."""
        return not self.record.error_code or any(
            column.result is not None for column in self.record.columns
        )

    @property
    def changes(self) -> int:
        """How many columns would change."""
        return len(self.record.differences)


def context(
    request: HttpRequest, table_map: TableMap, draft: Definition | None = None
) -> dict[str, Any]:
    """The form, and, once a direction is chosen, the records; of a `draft` in place
    of the map's version where one is given."""
    if draft is None and table_map.version is None:
        return {"ways": []}
    flows = draft or definition(table_map)
    ways = [(way.value, DIRECTIONS[way.value]) for way in Direction if flows.flows(way)]
    asked = PreviewAsked.read(request)
    found: dict[str, Any] = {"ways": ways, "asked": asked, "most": MOST}
    if asked.direction is None:
        return found
    try:
        shown = preview_map(
            table_map,
            asked.key or None,
            direction=asked.direction,
            sample=asked.sample,
            draft=draft,
        )
    except Refusal as refused:
        return {**found, "trouble": refused.message}
    except CompilationError as error:
        said = f"{table_map.name} does not fit its tables."
        return {**found, "trouble": said, "findings": error.findings}
    except EngineError as error:
        return {**found, "trouble": error.message}
    records = shown.records[asked.direction.value]
    return {
        **found,
        "records": [_shown(record, only=asked.only) for record in records],
        "source": asked.direction.source.value,
        "target": asked.direction.target.value,
    }


def _shown(record: PreviewRecord, *, only: bool) -> ShownRecord:
    failing = _failing(record)
    columns = [
        ShownColumn(column, column.column in failing)
        for column in record.columns
        if not only or column.differs or column.column in failing
    ]
    return ShownRecord(
        record=record,
        key=" / ".join("" if part is None else part for part in record.key),
        state=_state(record),
        columns=columns,
        hidden=len(record.columns) - len(columns),
    )


def _state(record: PreviewRecord) -> str:
    if record.error_code:
        return "error"
    if record.target is None:
        return "new"
    return "differs" if record.differences else "same"


def _failing(record: PreviewRecord) -> set[str]:
    """The columns an error is about; of a reference with several parts all of them."""
    named = record.error_column
    if not named:
        return set()
    known = {column.column for column in record.columns}
    if named in known and "." not in named:
        return {named}
    reference = named.partition(".")[0]
    return {name for name in known if name.partition(".")[0] == reference}
