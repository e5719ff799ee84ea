"""Rules that undo each other are noticed (architecture section 6, A loop).

What we write never comes back as a change, so a loop needs somebody who answers: an
automation of the source (a workflow, a job, another connection set) that sets back what
the opposite stream wrote, or a second map that writes another value into the same
column. The first shows in the source's log as the same transition written again and
again with nothing of ours in between that undoes it: somebody there did, each time.
(What users of the target change to and fro comes as transitions that undo each other,
and is no loop however often.) The second shows as a conflict with what another map
wrote in the same batch. Both are counted in bounded memory, where they happen, and cost
nothing else.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from syncengine.agreement import alike
from syncengine.connectors.base import Change, ColumnConflict
from syncengine.live.configuring import Configuration
from syncengine.live.folding import Folded
from syncengine.live.legs import LiveLeg
from syncengine.mapping.compiled import Row, shown_parts
from syncengine.mapping.dangling import shown_key
from syncengine.mapping.model import ColumnMap, Side, TableMap
from syncengine.ports import Control, LoopFound

WINDOW_SECONDS = 60.0
TRIPS = 8
"""What we write set back so many times within the window is no person's work."""

RIVALRIES = 3
"""So many records (or times) that two maps wrote differently within the window."""

COUNTED = 50_000

_Record = tuple[int, Row]
_Rivals = tuple[int, int, str]


@dataclass(slots=True)
class _Trip:
    """The last transition we wrote to a column, and how often in a row."""

    before: str | None
    after: str | None
    number: int = 0


class Loops:
    """Counts of one stream."""

    def __init__(self) -> None:
        self._trips: dict[_Record, dict[str, _Trip]] = {}
        self._counted = 0
        self._rivals: dict[_Rivals, int] = {}
        self._since = time.monotonic()
        self._found: list[LoopFound] = []

    def _turn(self) -> None:
        if time.monotonic() - self._since > WINDOW_SECONDS or self._counted > COUNTED:
            self.unknown()
            self._rivals.clear()
            self._since = time.monotonic()

    # -- somebody sets back what we write -------------------------------------------

    def echo(
        self, leg: LiveLeg, key: Row, change: Change, configuration: Configuration
    ) -> None:
        """Count what the opposite stream changed on the source and somebody there had
        set back."""
        old, new = change.old, change.new
        record = (leg.configuration.map_id, key)
        if old is None or new is None:
            self._trips.pop(record, None)
            return
        if leg.compiled is None or not change.relation.full_identity or old == new:
            return
        self._turn()
        triggers = leg.compiled.triggers
        for column, before, after in zip(
            change.relation.columns, old, new, strict=True
        ):
            if before == after or column not in triggers:
                continue
            trips = self._trips.setdefault(record, {})
            trip = trips.get(column)
            if trip is None or (trip.before, trip.after) != (before, after):
                self._counted += trip is None
                trip = trips[column] = _Trip(before, after)
            trip.number += 1
            if trip.number == TRIPS:
                self._found.append(_trip_found(leg, key, column, trip, configuration))

    def unknown(self) -> None:
        """The opposite stream changed what nobody looked at: counts start anew."""
        self._trips.clear()
        self._counted = 0

    # -- two maps write the same column ---------------------------------------------

    def contested(
        self,
        found: Folded,
        conflicts: Sequence[ColumnConflict],
        batch: Sequence[Folded],
    ) -> None:
        """Count columns whose present value another map wrote in this very batch."""
        for conflict in conflicts:
            if conflict.slot is None:
                continue
            for other in batch:
                if _wrote(other, found, conflict):
                    self._rival(found, other, conflict.slot)
                    break

    def _rival(self, found: Folded, other: Folded, slot: int) -> None:
        self._turn()
        one, two = found.items[0].leg, other.items[0].leg
        first, second = sorted((one, two), key=lambda leg: leg.configuration.map_id)
        column = found.operation.leg.slots[slot].column
        rivals = (first.configuration.map_id, second.configuration.map_id, column)
        number = self._rivals.get(rivals, 0) + 1
        self._rivals[rivals] = number
        if number == RIVALRIES:
            self._found.append(
                _rivals_found(first, second, column, found.items[-1].source_key)
            )

    # -- the alarm --------------------------------------------------------------------

    def tell(self, control: Control) -> None:
        """Have the maps of loops that were found paused."""
        found, self._found = self._found, []
        for loop in found:
            control.loop_found(loop)


def _wrote(other: Folded, found: Folded, conflict: ColumnConflict) -> bool:
    """Whether the other map's operation on the same record wrote the present value."""
    mine, theirs = found.operation, other.operation
    if theirs.leg is mine.leg or theirs.row is None or conflict.slot is None:
        return False
    if theirs.leg.target.name != mine.leg.target.name or theirs.key != mine.key:
        return False
    slot = mine.leg.slots[conflict.slot]
    return any(
        one.column == slot.column
        and one.lookup is None
        and alike(one, value, conflict.present)
        for one, value in zip(theirs.leg.slots, theirs.row, strict=True)
    )


def _rivals_found(first: LiveLeg, second: LiveLeg, column: str, key: Row) -> LoopFound:
    side = first.configuration.direction.target
    rules = tuple(
        rule_text(leg.configuration.table_map, column, side) for leg in (first, second)
    )
    return LoopFound(
        map_ids=(first.configuration.map_id, second.configuration.map_id),
        rules=rules,
        key=key,
        column=column,
        message=(
            f"Two maps write different values into the same column {column}: "
            f"{rules[0]}; {rules[1]}. Last seen on {shown_key(key)}. Both are paused: "
            "make their value maps agree, or take the column out of one of them."
        ),
    )


def _trip_found(
    leg: LiveLeg, key: Row, column: str, trip: _Trip, configuration: Configuration
) -> LoopFound:
    map_id = leg.configuration.map_id
    side = leg.configuration.direction.source
    own = rule_text(leg.configuration.table_map, column, side)
    others = [
        one
        for one in configuration.legs
        if one.configuration.map_id != map_id
        and one.compiled is not None
        and leg.compiled is not None
        and one.compiled.source.name == leg.compiled.source.name
        and column in one.compiled.triggers
    ]
    answer = (
        rule_text(others[0].configuration.table_map, column, side)
        if others
        else f"an automation of {_system(side)}, or another connection set, that sets "
        f"{column} back"
    )
    return LoopFound(
        map_ids=(map_id, *(one.configuration.map_id for one in others[:1])),
        rules=(own, answer),
        key=key,
        column=column,
        message=(
            f"{column} of {shown_key(key)} goes round in a loop: it was changed from "
            f"{_value(trip.before)} to {_value(trip.after)} {TRIPS} times within a "
            "minute, and set back each time. "
            f"The rules that undo each other: {own}; {answer}. The "
            f"{'maps are' if others else 'map is'} paused: change one of the two."
        ),
    )


def rule_text(table_map: TableMap, column: str, side: Side) -> str:
    """The map and its line about a column, as a person reads it."""
    line = next(
        (
            one
            for one in table_map.columns
            if (path := one.on(side)) is not None
            and path.partition(".")[0].casefold() == column.casefold()
        ),
        None,
    )
    return f"map {table_map.name}, {_line_text(line) if line else column}"


def _line_text(line: ColumnMap) -> str:
    text = f"{line.finops or 'none'} {line.type.value} {line.dataverse or 'none'}"
    if line.values:
        pairs = ", ".join(f"{left} = {right}" for left, right in line.values[:5])
        more = ", ..." if len(line.values) > 5 else ""
        text += f" (value map {pairs}{more})"
    return text


def _system(side: Side) -> str:
    return "FinOps" if side is Side.FINOPS else "Dataverse"


def _value(value: str | None) -> str:
    return "(empty)" if value is None else str(shown_parts(value))
