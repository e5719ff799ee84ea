"""Trying the filters of a map, stored or edited, on both environments; no writes."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from portal.environments.connectors import connector_for
from portal.maps.models import TableMap
from portal.maps.preparation import definition
from syncengine.connectors.base import Connector
from syncengine.errors import EngineError
from syncengine.filter_trial import FilterTrial, RowCount, try_filter
from syncengine.mapping.compiled import Row
from syncengine.mapping.model import Direction, Side
from syncengine.mapping.model import TableMap as Definition


@dataclass(frozen=True)
class SideTrial:
    """What a filter does on one side. Without `trial` the environment could not be
    asked: `problem` says why. `stored` is the filter of the map's version; `flows` is
    false when the map carries nothing over from this side."""

    side: Side
    environment: str
    table: str
    text: str
    stored: str
    flows: bool
    trial: FilterTrial | None = None
    problem: EngineError | None = None

    @property
    def edited(self) -> bool:
        """True when another text than the stored one was tried."""
        return self.text != self.stored

    @property
    def usable(self) -> bool:
        """True when the text is a filter of the table and the environment answered."""
        return self.trial is not None and self.trial.error is None

    def document(self) -> dict[str, Any]:
        """An entry of the document of `dw filter --json`."""
        trial = self.trial or FilterTrial(self.side, self.table, self.text)
        return {
            "side": self.side.value,
            "environment": self.environment,
            "table": trial.table,
            "filter": self.text,
            "edited": self.edited,
            "matching": _count(trial.matching) if self.usable else None,
            "not_matching": _count(trial.other) if self.usable else None,
            "columns": list(trial.columns),
            "matching_rows": _rows(trial.matching_sample),
            "not_matching_rows": _rows(trial.other_sample),
            "query": trial.query,
            "odata": trial.odata,
            "notes": list(trial.notes),
            "error": self._error(),
        }

    def _error(self) -> dict[str, Any] | None:
        mistake = self.trial.error if self.trial else None
        if mistake is not None:
            details = mistake.details
            return {
                "code": mistake.code,
                "message": mistake.reason,
                "position": mistake.position,
                "line": mistake.line,
                "character": mistake.character,
                "place": details.get("place", ""),
                "suggestions": details.get("suggestions", []),
            }
        if self.problem is not None:
            return {"code": self.problem.code, "message": self.problem.message}
        return None


@dataclass(frozen=True)
class MapTrial:
    """Both filters of a map, tried."""

    table_map: TableMap
    sides: tuple[SideTrial, ...]

    @property
    def usable(self) -> bool:
        """True when both filters can be used."""
        return all(side.usable for side in self.sides)

    def document(self) -> dict[str, Any]:
        """The document of `dw filter --json`."""
        return {
            "map": self.table_map.name,
            "filters": [side.document() for side in self.sides],
        }


def _count(count: RowCount) -> dict[str, Any]:
    return {"rows": count.rows, "more": count.more}


def _rows(rows: Sequence[Row]) -> list[list[str | None]]:
    return [list(row) for row in rows]


def untried_filters(
    table_map: TableMap,
    *,
    finops: str | None = None,
    dataverse: str | None = None,
    draft: Definition | None = None,
) -> MapTrial:
    """What `try_filters` would try, asking no environment. Raises Refusal when the map
    has no version."""
    texts = {Side.FINOPS: finops, Side.DATAVERSE: dataverse}
    wanted = draft or definition(table_map)
    return MapTrial(table_map, _untried(table_map, wanted, texts))


def try_filters(
    table_map: TableMap,
    *,
    finops: str | None = None,
    dataverse: str | None = None,
    draft: Definition | None = None,
) -> MapTrial:
    """Try both filters of a map (or of a `draft` of it), another text in place of the
    stored one where given.

    Only rows of linked legal entities count where the tables belong to companies.
    Raises Refusal when the map has no version; an environment that cannot be asked is
    the problem of its side.
    """
    wanted = draft or definition(table_map)
    texts = {Side.FINOPS: finops, Side.DATAVERSE: dataverse}
    sides = _untried(table_map, wanted, texts)
    connection_set = table_map.connection_set
    pairs = connection_set.legal_entity_pairs()
    with ThreadPoolExecutor(len(sides)) as pool:
        jobs = [
            pool.submit(
                _tried,
                one,
                connector_for(connection_set.environment(one.side)),
                wanted,
                [pair.on(one.side) for pair in pairs],
            )
            for one in sides
        ]
        return MapTrial(table_map, tuple(job.result() for job in jobs))


def _untried(
    table_map: TableMap, wanted: Definition, texts: dict[Side, str | None]
) -> tuple[SideTrial, ...]:
    sides = []
    for side in Side:
        stored, text = wanted.filter(side), texts.get(side)
        sides.append(
            SideTrial(
                side=side,
                environment=table_map.connection_set.environment(side).name,
                table=wanted.table(side),
                text=stored if text is None else text,
                stored=stored,
                flows=wanted.flows(Direction.from_source(side)),
            )
        )
    return tuple(sides)


def _tried(
    one: SideTrial, connector: Connector, wanted: Definition, companies: Sequence[str]
) -> SideTrial:
    try:
        trial = try_filter(connector, wanted, one.side, one.text, companies)
    except EngineError as error:
        return replace(one, problem=error)
    return replace(one, trial=trial)
