"""The engine's decision log on the portal's database."""

from __future__ import annotations

from collections.abc import Sequence

from django.db.models import QuerySet
from django.utils import timezone

from portal.environments.models import ConnectionSet
from portal.units.models import AtomicUnit, UnitStates
from syncengine.atomic import UnitState


class PortalDecisions:
    """The DecisionLog of one connection set. Each call commits by itself: it must not
    run inside a transaction."""

    def __init__(self, connection_set: ConnectionSet) -> None:
        self._set = connection_set

    def _attempt(self, name: str) -> QuerySet[AtomicUnit]:
        unit_id, _, attempt = name.rpartition("#")
        return AtomicUnit.objects.filter(
            connection_set=self._set,
            unit_id=unit_id,
            attempt=int(attempt) if attempt.isdecimal() else 0,
        )

    def decide(self, name: str) -> bool:
        """From `preparing` to `committing`."""
        preparing = self._attempt(name).filter(state=UnitStates.PREPARING)
        changed = preparing.update(
            state=UnitStates.COMMITTING, decided_at=timezone.now()
        )
        return changed == 1

    def finish(self, name: str) -> None:
        """From `committing` to `committed`."""
        self._attempt(name).filter(state=UnitStates.COMMITTING).update(
            state=UnitStates.COMMITTED, finished_at=timezone.now()
        )

    def abort(self, name: str) -> bool:
        """From `preparing` to `aborted`."""
        preparing = self._attempt(name).filter(state=UnitStates.PREPARING)
        changed = preparing.update(state=UnitStates.ABORTED, finished_at=timezone.now())
        return changed == 1

    def state(self, name: str) -> UnitState | None:
        """Where the attempt stands; an earlier attempt was aborted."""
        found = self._attempt(name).values_list("state", flat=True).first()
        if found is not None:
            return UnitState(found)
        later = AtomicUnit.objects.filter(
            connection_set=self._set, unit_id=name.rpartition("#")[0]
        )
        return UnitState.ABORTED if later.exists() else None

    def undecided(self) -> Sequence[str]:
        """Units in `committing`."""
        units = AtomicUnit.objects.filter(
            connection_set=self._set, state=UnitStates.COMMITTING
        )
        return [unit.name for unit in units]
