"""Reading the error list: filters that are links, and one record side by side."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.db.models import QuerySet
from django.db.models.functions import Lower
from django.utils.http import urlencode

from portal.accounts.scope import EVERYTHING, Scope, scope_of
from portal.errors import hidden
from portal.errors.beside import Now
from portal.errors.models import OPEN_ERROR_STATES, ErrorGroup, ErrorState, SyncError
from portal.errors.owning import people
from portal.maps.models import DirectionChoices, TableMap
from portal.pages import COUNT_LIMIT, sharing

WAITING = "waiting"
"""The filter for errors that are open or being retried; the default."""

TRIGRAM = 3
"""Letters a part of a key must have to be looked up in the index of parts."""

SHORT_KEY_LIMIT = 1_000
"""How far errors are counted by a shorter part, which reads them one by one."""


@dataclass(frozen=True)
class ErrorFilter:
    """What the list is narrowed to. `fixed_map` when it is a map's own tab. `value` is
    one that the cause's text hides, looked for in its newest open errors only."""

    map_id: int | None = None
    direction: str = ""
    code: str = ""
    state: str = WAITING
    key: str = ""
    cause: int | None = None
    value: str = ""
    owner: str = ""
    fixed_map: bool = False
    scope: Scope = EVERYTHING

    @staticmethod
    def read(
        values: Mapping[str, str], *, map_id: int | None = None, user: Any = None
    ) -> ErrorFilter:
        """From a query string or a form; what is unknown is ignored."""
        chosen = _whole(values.get("map", ""))
        state = values.get("state", WAITING)
        if state not in (WAITING, "all", *ErrorState.values):
            state = WAITING
        direction = values.get("direction", "")
        cause = _whole(values.get("cause", ""))
        return ErrorFilter(
            map_id=map_id if map_id is not None else chosen,
            direction=direction if direction in DirectionChoices.values else "",
            code=values.get("code", "").strip(),
            state=state,
            key=values.get("key", "").strip(),
            cause=cause,
            value=values.get("value", "") if cause is not None else "",
            owner=_owner(values.get("owner", "")),
            fixed_map=map_id is not None,
            scope=scope_of(user),
        )

    @property
    def narrowed(self) -> bool:
        """True when more than the default view is asked for."""
        map_chosen = self.map_id is not None and not self.fixed_map
        return bool(
            map_chosen
            or self.direction
            or self.code
            or self.key
            or self.owner
            or self.cause is not None
            or self.state != WAITING
        )

    @property
    def some_open(self) -> bool:
        """True when errors that can be retried may be in the list."""
        return self.state in (WAITING, "all", *OPEN_ERROR_STATES)

    @property
    def shared(self) -> str:
        """The column all errors of the list share, with an index before the id."""
        if self.cause is not None:
            return "cause_id"
        return "table_map_id" if self.map_id is not None else ""

    @property
    def count_limit(self) -> int:
        """How far the errors of the list are counted."""
        return SHORT_KEY_LIMIT if 0 < len(self.key) < TRIGRAM else COUNT_LIMIT

    @property
    def query(self) -> str:
        """As a query string, for links."""
        return urlencode(dict(self.pairs))

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """As names and values, for forms."""
        values = {
            "map": str(self.map_id or ""),
            "direction": self.direction,
            "code": self.code,
            "state": "" if self.state == WAITING else self.state,
            "key": self.key,
            "cause": str(self.cause or ""),
            "value": self.value,
            "owner": self.owner,
        }
        return [(name, value) for name, value in values.items() if value]


NOBODY = "nobody"
"""The owner to filter for causes that nobody takes care of."""


def _owner(text: str) -> str:
    """A user's id, or nobody."""
    return text if text == NOBODY or _whole(text) is not None else ""


def owned(causes: QuerySet[ErrorGroup], owner: str) -> QuerySet[ErrorGroup]:
    """The causes that somebody takes care of, or nobody does; all without `owner`."""
    if owner == NOBODY:
        return causes.filter(assigned_to=None)
    return causes.filter(assigned_to=int(owner)) if owner else causes


def _whole(text: str) -> int | None:
    return int(text) if text.isdecimal() and len(text) < 19 else None


def matching(filters: ErrorFilter) -> QuerySet[SyncError]:
    """The errors a filter selects."""
    rows = SyncError.objects.within(filters.scope)
    if filters.state == WAITING:
        rows = rows.filter(state__in=OPEN_ERROR_STATES)
    elif filters.state != "all":
        rows = rows.filter(state=filters.state)
    if filters.map_id is not None:
        rows = sharing(rows, "table_map_id", filters.map_id)
    if filters.cause is not None:
        rows = sharing(rows, "cause_id", filters.cause)
        if filters.value:
            found = hidden.errors_with(filters.cause, filters.value, filters.scope)
            rows = rows.filter(pk__in=found)
    if filters.direction:
        rows = rows.filter(direction=filters.direction)
    if filters.code or filters.owner:
        # By its few causes, which an index serves; a code alone has none.
        rows = rows.filter(cause__in=_causes_of(filters))
    if len(filters.key) >= TRIGRAM:
        rows = rows.filter(key_text__icontains=filters.key)
    elif filters.key:
        # Not by the trigrams: all of them would be read for so short a part.
        lowered = rows.alias(lower_key=Lower("key_text"))
        rows = lowered.filter(lower_key__contains=filters.key.lower())
    return rows


def _causes_of(filters: ErrorFilter) -> list[int]:
    causes = owned(ErrorGroup.objects.within(filters.scope), filters.owner)
    if filters.code:
        causes = causes.filter(code=filters.code)
    if filters.map_id is not None:
        causes = causes.filter(table_map=filters.map_id)
    if filters.direction:
        causes = causes.filter(direction=filters.direction)
    return list(causes.order_by().values_list("pk", flat=True))


def error_list(filters: ErrorFilter) -> QuerySet[SyncError]:
    """The rows of the list, without the payloads."""
    return (
        matching(filters)
        .select_related("table_map", "cause__assigned_to")
        .defer("source_row", "mapped_row", "remote", "key")
    )


def errors_by_id(ids: Iterable[int]) -> QuerySet[SyncError]:
    """The listed errors, for their live cells."""
    return SyncError.objects.filter(pk__in=list(ids)).only(
        "id", "state", "count", "last_seen", "attempts"
    )


def choices(filters: ErrorFilter) -> dict[str, Any]:
    """What the filter offers: maps and the codes of errors that are kept."""
    causes = ErrorGroup.objects.within(filters.scope).order_by()
    maps: list[tuple[int, str]] = []
    if filters.fixed_map:
        causes = causes.filter(table_map=filters.map_id)
    else:
        maps = list(
            TableMap.objects.within(filters.scope)
            .order_by("name")
            .values_list("pk", "name")
        )
    codes = set(causes.values_list("code", flat=True).distinct())
    codes |= {filters.code} - {""}
    owners = [(NOBODY, "Nobody"), *_owners(filters.scope)]
    return {
        "owners": owners,
        "maps": maps,
        "codes": sorted(codes),
        "directions": [
            ("finops_to_dataverse", "FinOps to Dataverse"),
            ("dataverse_to_finops", "Dataverse to FinOps"),
        ],
        "states": [
            (WAITING, "Open and retrying"),
            *ErrorState.choices,
            ("all", "All"),
        ],
    }


def _owners(scope: Scope) -> list[tuple[str, str]]:
    """Whom the filter offers; to who is limited only those who have causes they see."""
    if scope.everything:
        return [(str(one.pk), one.get_username()) for one in people()]
    seen = ErrorGroup.objects.within(scope).order_by()
    given = seen.exclude(assigned_to=None)
    names = given.values_list("assigned_to", "assigned_to__username").distinct()
    return sorted(((str(pk), name) for pk, name in names), key=lambda one: one[1])


def owners() -> dict[int, str]:
    """The user names of those who take care of causes, by cause."""
    rows = ErrorGroup.objects.filter(assigned_to__isnull=False).order_by()
    return dict(rows.values_list("pk", "assigned_to__username"))


@dataclass(frozen=True)
class PayloadLine:
    """One column of the source row and what it became on the other side."""

    source: str
    target: str
    has_source: bool
    has_target: bool
    source_value: Any
    target_value: Any
    failed: bool
    source_now: Any = None
    target_now: Any = None
    has_source_now: bool = False
    has_target_now: bool = False

    @property
    def moved(self) -> bool:
        """True when the source has another value by now."""
        return (
            self.has_source
            and self.has_source_now
            and self.source_value != self.source_now
        )


def payload_lines(error: SyncError, now: Now | None = None) -> list[PayloadLine]:
    """Source row and mapped row side by side under the map's columns, beside what both
    sides hold `now`; columns no column map names follow on their own line. The failing
    column is marked and comes first."""
    lines = _payload_lines(error)
    if now is not None:
        lines = [_beside(line, now) for line in lines]
    return sorted(lines, key=lambda line: not line.failed)


def _beside(line: PayloadLine, now: Now) -> PayloadLine:
    source = _at(now.source, line.source)
    target = _at(now.target, line.target)
    return replace(
        line,
        source_now=source[1],
        has_source_now=source[0],
        target_now=target[1],
        has_target_now=target[0],
    )


def _at(row: Mapping[str, Any] | None, path: str) -> tuple[bool, Any]:
    """Whether a row has the column path, in any case, and its value."""
    if not row or not path:
        return False, None
    if path in row:
        return True, row[path]
    folded = path.casefold()
    for name, value in row.items():
        if name.casefold() == folded:
            return True, value
    return False, None


def _payload_lines(error: SyncError) -> list[PayloadLine]:
    source, mapped = dict(error.source_row or {}), dict(error.mapped_row or {})
    from_finops = error.direction == "finops_to_dataverse"
    pairs: list[tuple[str, str]] = []
    version = error.table_map.version
    if version is not None:
        found = [(pair.finops, pair.dataverse) for pair in version.key_pairs.all()]
        found += [(line.finops, line.dataverse) for line in version.columns.all()]
        pairs = [
            (finops, dataverse) if from_finops else (dataverse, finops)
            for finops, dataverse in found
        ]
    lines: list[PayloadLine] = []
    seen_source: set[str] = set()
    seen_target: set[str] = set()
    for left, right in dict.fromkeys(pairs):
        left_name = _present(left, source)
        right_name = _present(right, mapped)
        if not (left_name or right_name):
            continue
        seen_source.add(left_name)
        seen_target.add(right_name)
        lines.append(_line(error, left, right, left_name, right_name, source, mapped))
    for name in source:
        if name not in seen_source:
            same = name if name in mapped and name not in seen_target else ""
            seen_target.add(same)
            lines.append(_line(error, name, same, name, same, source, mapped))
    lines += [
        _line(error, "", name, "", name, source, mapped)
        for name in mapped
        if name not in seen_target
    ]
    return lines


def is_unmade(error: SyncError, lines: Sequence[PayloadLine]) -> bool:
    """True when no row for the other side could be made of the record: the failing
    column has no value to be written."""
    if error.operation == "delete":
        return False
    return not error.mapped_row or any(
        line.failed and not line.has_target for line in lines
    )


def held_together(error: SyncError) -> int:
    """How many open errors wait for the same source transaction as this one."""
    if not error.group:
        return 0
    return (
        SyncError.objects.filter(
            table_map__connection_set=error.table_map.connection_set_id,
            group=error.group,
            state__in=OPEN_ERROR_STATES,
        )
        .exclude(pk=error.pk)
        .count()
    )


def _present(path: str, row: Mapping[str, Any]) -> str:
    """The row's name for a column path: itself, or a lookup's own column."""
    if path in row:
        return path
    first = path.partition(".")[0]
    return first if first and first in row else ""


def _line(
    error: SyncError,
    left: str,
    right: str,
    left_name: str,
    right_name: str,
    source: Mapping[str, Any],
    mapped: Mapping[str, Any],
) -> PayloadLine:
    blamed = error.column
    return PayloadLine(
        source=left,
        target=right,
        has_source=bool(left_name),
        has_target=bool(right_name),
        source_value=source.get(left_name),
        target_value=mapped.get(right_name),
        failed=bool(blamed) and blamed in (left, right, left_name, right_name),
    )
