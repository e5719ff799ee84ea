"""Writing units on both sides, and ending those a crash left in doubt."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import structlog
from django.db import connection, transaction
from django.db.models import Q
from django.utils import timezone

from portal.activity import services as activity
from portal.alerts.services import clear_alert, raise_alert
from portal.environments.connectors import connector_for
from portal.environments.models import ConnectionSet
from portal.refusals import Refusal
from portal.units.decisions import PortalDecisions
from portal.units.legs import live_legs
from portal.units.models import AtomicUnit, UnitStates
from syncengine.atomic import (
    MOST_RECORDS,
    UnitRecord,
    UnitRefused,
    UnitResult,
    resolve,
    write_unit,
)
from syncengine.atomic import AtomicUnit as EngineUnit
from syncengine.atomic.model import SECONDS
from syncengine.atomic.resolving import Resolved
from syncengine.atomic.writing import Step
from syncengine.connectors.base import Connector
from syncengine.errors import EngineError
from syncengine.mapping.model import Side

if TYPE_CHECKING:
    from portal.accounts.models import User

log = structlog.get_logger(__name__)

UNIT_ID = re.compile(r"[A-Za-z0-9._:-]{1,100}\Z")
GIVE_UP = timedelta(seconds=SECONDS + 30)
"""An undecided unit as old as this is given up: nobody can be writing it any more."""

IN_DOUBT_SECONDS = 60.0
ALERT = "units.in_doubt"


def write(
    connection_set: ConnectionSet,
    unit_id: str,
    records: Sequence[UnitRecord],
    *,
    user: User | None = None,
    at: Step = lambda step: None,
) -> AtomicUnit:
    """Write the records on both sides, or on neither; gives the unit, whose state is
    `committed`, or `committing` where a side was lost after the decision.

    Called again with the same id and records it gives the first call's result; an
    aborted unit is tried anew. Refused (`Refusal`, with the code and number of the
    record that is to blame) where nothing was written. Must not run inside a
    transaction.
    """
    if connection.in_atomic_block:
        raise RuntimeError("a unit must not be written inside a transaction.")
    _check(connection_set, unit_id, records)
    digest = _digest(records)
    known = AtomicUnit.objects.filter(
        connection_set=connection_set, unit_id=unit_id
    ).first()
    if known is not None and known.state != UnitStates.ABORTED:
        return _repeated(connection_set, known, digest)
    connectors = _connectors(connection_set)
    _demand_two_phases(connection_set, connectors)
    legs = live_legs(connection_set, records)
    unit = _begin(connection_set, unit_id, digest, len(records), user)
    decisions = PortalDecisions(connection_set)
    try:
        result = write_unit(
            EngineUnit(unit.name, records),
            connection_set.link_id,
            connectors,
            legs,
            decisions,
            at=at,
        )
    except UnitRefused as refused:
        decisions.abort(unit.name)
        raise _note_refusal(unit, refused) from refused
    return _note_result(unit, result)


def _check(
    connection_set: ConnectionSet, unit_id: str, records: Sequence[UnitRecord]
) -> None:
    if connection_set.retired_at is not None:
        raise Refusal(f"{connection_set.name} is being unlinked.", code="retired")
    if not UNIT_ID.match(unit_id):
        raise Refusal(
            "A unit's id has 1 to 100 letters, digits and the signs . _ : -",
            code="unit_id_invalid",
        )
    if not records or len(records) > MOST_RECORDS:
        raise Refusal(
            f"A unit has 1 to {MOST_RECORDS:,} records, not {len(records):,}.",
            code="unit_too_large" if records else "unit_empty",
        )


def _digest(records: Sequence[UnitRecord]) -> str:
    text = json.dumps([asdict(record) for record in records], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _repeated(
    connection_set: ConnectionSet, unit: AtomicUnit, digest: str
) -> AtomicUnit:
    """The second call with an id: the first one's result."""
    if unit.digest != digest:
        raise Refusal(
            f"Unit {unit.unit_id} has been written with other records.",
            code="unit_id_taken",
        )
    if unit.state == UnitStates.COMMITTING:
        resolve_set(connection_set)
        unit.refresh_from_db()
    if unit.state == UnitStates.PREPARING:
        raise Refusal(
            f"Unit {unit.unit_id} is being written, or its writer has just died. Ask "
            "again in a moment.",
            code="unit_running",
            retryable=True,
        )
    return unit


def _connectors(connection_set: ConnectionSet) -> dict[Side, Connector]:
    return {side: connector_for(connection_set.environment(side)) for side in Side}


def _demand_two_phases(
    connection_set: ConnectionSet, connectors: Mapping[Side, Connector]
) -> None:
    for side, connector in connectors.items():
        name = connection_set.environment(side).name
        try:
            with closing(connector.two_phase(connection_set.link_id)) as phase:
                found = list(phase.findings())
        except EngineError as error:
            raise Refusal(
                f"{name}: {error.message}", code=error.code, retryable=True
            ) from error
        if found:
            raise Refusal(
                f"{name}: {found[0].message}",
                code=found[0].code.lower(),
                reasons=[found[0].cure],
                script=found[0].script,
            )


@transaction.atomic
def _begin(
    connection_set: ConnectionSet,
    unit_id: str,
    digest: str,
    records: int,
    user: User | None,
) -> AtomicUnit:
    """The unit's row, for one writer only."""
    now = timezone.now()
    unit, made = AtomicUnit.objects.get_or_create(
        connection_set=connection_set,
        unit_id=unit_id,
        defaults={
            "digest": digest,
            "records": records,
            "user": user,
            "begun_at": now,
        },
    )
    if made:
        return unit
    claimed = AtomicUnit.objects.filter(
        pk=unit.pk, state=UnitStates.ABORTED, attempt=unit.attempt
    ).update(
        state=UnitStates.PREPARING,
        attempt=unit.attempt + 1,
        digest=digest,
        records=records,
        user=user,
        begun_at=now,
        finished_at=None,
        code="",
        message="",
        record=None,
    )
    if not claimed:
        raise Refusal(
            f"Unit {unit_id} is being written by somebody else.",
            code="unit_running",
            retryable=True,
        )
    unit.refresh_from_db()
    return unit


def _note_refusal(unit: AtomicUnit, refused: UnitRefused) -> Refusal:
    AtomicUnit.objects.filter(pk=unit.pk, state=UnitStates.ABORTED).update(
        code=refused.code, message=refused.message, record=refused.record
    )
    where = "" if refused.record is None else f" (record {refused.record + 1})"
    return Refusal(
        f"Unit {unit.unit_id} was written on neither side{where}: {refused.message}",
        code=refused.code,
        reasons=[refused.remote] if refused.remote else (),
        retryable=refused.retryable,
    )


def _note_result(unit: AtomicUnit, result: UnitResult) -> AtomicUnit:
    written = {side.value: dict(counts) for side, counts in result.written.items()}
    AtomicUnit.objects.filter(pk=unit.pk).update(written=written)
    unit.refresh_from_db()
    log.info("unit.written", unit=unit.pk, state=unit.state, records=unit.records)
    return unit


# -- in doubt --------------------------------------------------------------------------


def resolve_all() -> dict[str, Resolved]:
    """Resolve every set that has had units lately or has some unfinished; by name."""
    unfinished = AtomicUnit.objects.filter(
        Q(state__in=(UnitStates.PREPARING, UnitStates.COMMITTING))
        | Q(begun_at__gte=timezone.now() - timedelta(minutes=10))
    ).values("connection_set")
    sets = ConnectionSet.objects.select_related("finops", "dataverse").filter(
        pk__in=unfinished
    )
    return {one.name: resolve_set(one) for one in sets}


def resolve_set(
    connection_set: ConnectionSet, *, older_than: timedelta = GIVE_UP
) -> Resolved:
    """End what a crash left in doubt, as it was decided; alert while something waits
    for longer than a minute, because it holds locks and log on its server."""
    now = timezone.now()
    decisions = PortalDecisions(connection_set)
    found = resolve(
        connection_set.link_id,
        _connectors(connection_set),
        decisions,
        now=now,
        older_than=older_than,
    )
    if not found.unreachable:
        # Died before anything was prepared: nothing to undo anywhere.
        AtomicUnit.objects.filter(
            connection_set=connection_set,
            state=UnitStates.PREPARING,
            begun_at__lt=now - older_than,
        ).update(
            state=UnitStates.ABORTED,
            finished_at=now,
            code="unit_timed_out",
            message="Its writer died before it was decided.",
        )
    for names, what in ((found.committed, "committed"), (found.undone, "undone")):
        if names:
            activity.record(
                "units.resolved",
                f"Atomic writes left in doubt on {connection_set.name} were {what}: "
                f"{', '.join(names)}.",
                connection_set=connection_set,
            )
    _alert(connection_set, found)
    return found


def _alert(connection_set: ConnectionSet, found: Resolved) -> None:
    stuck = AtomicUnit.objects.filter(
        connection_set=connection_set,
        state=UnitStates.COMMITTING,
        decided_at__lt=timezone.now() - timedelta(seconds=IN_DOUBT_SECONDS),
    ).count()
    if found.oldest_seconds < IN_DOUBT_SECONDS and not stuck:
        clear_alert(ALERT, connection_set=connection_set)
        return
    away = ", ".join(connection_set.environment(s).name for s in found.unreachable)
    raise_alert(
        ALERT,
        f"Atomic writes on {connection_set.name} have been in doubt for more than a "
        "minute; they hold locks and log on their servers until they are decided."
        + (f" Not reachable: {away}." if away else ""),
        connection_set=connection_set,
        waiting=list(found.waiting),
    )


def document(unit: AtomicUnit) -> dict[str, Any]:
    """A unit as commands and the API show it."""
    return {
        "connection_set": unit.connection_set.name,
        "unit": unit.unit_id,
        "state": unit.state,
        "records": unit.records,
        "written": unit.written,
        "code": unit.code,
        "message": unit.message,
        "record": unit.record,
        "begun_at": unit.begun_at,
        "decided_at": unit.decided_at,
        "finished_at": unit.finished_at,
    }
