"""Ends units that a crash left in doubt, as they were decided."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta

from syncengine.atomic.model import DecisionLog, UnitState
from syncengine.connectors.base import Connector
from syncengine.connectors.branch import PreparedBranch, TwoPhase
from syncengine.errors import EngineError
from syncengine.mapping.model import Side


@dataclass(frozen=True)
class Resolved:
    """What was ended, by unit name, and what still waits: parts whose unit may yet be
    decided, with the age of the oldest, and sides that could not be asked."""

    committed: tuple[str, ...]
    undone: tuple[str, ...]
    waiting: tuple[str, ...]
    oldest_seconds: float
    unreachable: Mapping[Side, EngineError]


def resolve(
    link: str,
    connectors: Mapping[Side, Connector],
    log: DecisionLog,
    *,
    now: datetime,
    older_than: timedelta,
) -> Resolved:
    """Commit what was decided; undo what was not and is older than any unit may take,
    closing it in the log first so that nobody decides it any more. May be called at any
    time, by several at once."""
    committed: list[str] = []
    undone: list[str] = []
    waiting: list[PreparedBranch] = []
    unreachable: dict[Side, EngineError] = {}
    decided = set(log.undecided())
    for side in Side:
        try:
            with closing(connectors[side].two_phase(link)) as phase:
                for part in phase.pending():
                    done = _end(phase, part, log, now - part.prepared_at, older_than)
                    if done is None:
                        waiting.append(part)
                    else:
                        (committed if done else undone).append(part.name)
        except EngineError as error:
            unreachable[side] = error
    if not unreachable:
        # Decided before we looked, and nothing of it waits any more on either side.
        for name in decided:
            log.finish(name)
    return Resolved(
        committed=tuple(dict.fromkeys(committed)),
        undone=tuple(dict.fromkeys(undone)),
        waiting=tuple(dict.fromkeys(part.name for part in waiting)),
        oldest_seconds=max(
            ((now - part.prepared_at).total_seconds() for part in waiting), default=0.0
        ),
        unreachable=unreachable,
    )


def _end(
    phase: TwoPhase,
    part: PreparedBranch,
    log: DecisionLog,
    age: timedelta,
    older_than: timedelta,
) -> bool | None:
    """True: committed. False: undone. None: it may yet be decided."""
    state = log.state(part.name)
    if state is UnitState.PREPARING and age >= older_than:
        state = UnitState.ABORTED if log.abort(part.name) else log.state(part.name)
    if state in (UnitState.COMMITTING, UnitState.COMMITTED):
        phase.commit(part.name)
        return True
    if state is UnitState.ABORTED or (state is None and age >= older_than):
        phase.rollback(part.name)
        return False
    return None
