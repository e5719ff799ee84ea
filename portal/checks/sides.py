"""What every check begins with: can the systems be reached, are they those that were
linked, do they have what capture needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import structlog
from django.core.exceptions import ImproperlyConfigured

from portal.environments.connectors import connector_for
from portal.environments.identity import other_system
from portal.environments.models import ConnectionSet, Environment
from portal.environments.services import ConnectionTest, check_environment
from portal.maps.health import Surroundings, look_around
from portal.maps.preparation import capture_tables
from portal.refusals import Refusal
from syncengine.errors import EngineError
from syncengine.mapping.health.link import leftover
from syncengine.mapping.health.registry import unexpected
from syncengine.mapping.model import HealthFinding, Severity, Side
from syncengine.mapping.model import TableMap as Definition

log = structlog.get_logger(__name__)


def check_side(
    environment: Environment,
    *,
    down: str,
    link: str = "",
    tables: Sequence[str] = (),
    installed: bool = True,
) -> ConnectionTest:
    """`check_environment` with the documented codes: `down` where the system cannot
    be used, DIPV1005 where what the portal knows of it is not enough to try, DIPV1007
    where it is another system, DIPV1006 for what nobody foresaw. Never raises."""
    try:
        tested = check_environment(
            environment,
            link=link,
            tables=tables,
            installed=installed,
            unlinked=not link,
        )
    except ImproperlyConfigured as error:
        return _unknown(environment, str(error))
    except Exception as error:
        log.error("check_failed", exc_info=error)
        finding = unexpected("DIPV1006", environment.name, error)
        return ConnectionTest(None, (finding,))
    if tested.description is None:
        first = tested.findings[0]
        if first.code == "connector_unknown":
            return _unknown(environment, first.message)
        cure = first.cure or "Correct the environment's connection, then check again."
        return ConnectionTest(None, (replace(first, code=down, cure=cure),))
    moved = other_system(environment, tested.description)
    findings = (moved, *tested.findings) if moved else tested.findings
    return replace(tested, findings=findings)


def try_look_around(
    connection_set: ConnectionSet,
) -> tuple[Surroundings | None, HealthFinding | None]:
    """`look_around`, or the finding that says why it could not be done; of no use
    where `check_side` says already that a system cannot be used."""
    try:
        return look_around(connection_set), None
    except Refusal as refusal:
        return None, refused(refusal, connection_set.name)
    except Exception as error:
        log.error("check_failed", exc_info=error)
        return None, unexpected("DIPV1006", connection_set.name, error)


def refused(refusal: Refusal, place: str) -> HealthFinding:
    """What a service would refuse with, as a finding."""
    return HealthFinding(
        refusal.code, Severity.ERROR, refusal.message, place, script=refusal.script
    )


def capturable(
    definitions: Sequence[Definition], around: Surroundings | None, side: Side
) -> list[str]:
    """The tables to capture on `side`, less those that are missing or can never be
    captured: that is a finding about their map."""
    tables = capture_tables(definitions, side)
    if around is None:
        return tables
    found = {name: around.schemas[side].table(name) for name in tables}
    return [name for name, table in found.items() if table and not table.unfit]


def _unknown(environment: Environment, message: str) -> ConnectionTest:
    return ConnectionTest(
        None,
        (
            HealthFinding(
                "DIPV1005",
                Severity.ERROR,
                f"How to reach {environment.name} is not known: {message}",
                environment.name,
                "Enter the connection of the environment again.",
            ),
        ),
    )


def leftovers(environment: Environment) -> list[HealthFinding]:
    """What links that the portal does not know left in the environment. Empty where
    it cannot be asked, which is reported by itself."""
    connector = connector_for(environment)
    try:
        present = connector.links()
    except EngineError:
        return []
    known = ConnectionSet.objects.filter(link_id__in=present)
    return [
        leftover(
            environment.side, environment.name, link, connector.removal_script(link)
        )
        for link in sorted(present - set(known.values_list("link_id", flat=True)))
    ]
