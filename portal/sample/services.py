"""Makes the sample companies known to the portal, and lets it forget them again."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field

from portal.environments.models import ConnectionSet
from portal.maps import configuration
from portal.maps import services as maps
from portal.maps.models import MapState, TableMap
from portal.sample import databases
from portal.sample.databases import SampleError
from portal.sample.linked import Pair
from portal.sample.maps import CONNECTION_SET, ENVIRONMENTS, document
from portal.sample.ready_made.services import READY_MADE
from syncengine.mapping.model import Side

SMALL = Pair(CONNECTION_SET, **ENVIRONMENTS, prefix=databases.PREFIX)


@dataclass
class SampleReport:
    """What `ensure_sample` found missing and made: rows by side and table, whether
    the link is new, and the maps it started."""

    rows: dict[str, dict[str, int]] = field(default_factory=dict)
    linked: bool = False
    started: list[str] = field(default_factory=list)

    @property
    def changed(self) -> bool:
        """Whether anything was missing."""
        return bool(self.rows or self.linked or self.started)


def ensure_sample() -> SampleReport:
    """Make whatever is missing: databases, rows, link, maps, first initial sync.

    May be called again at any time, also after a crash; what an administrator has
    changed since stays as it is. Must not be called inside a transaction. Raises
    SampleError or Refusal with a sentence that says what to do.
    """
    server = SMALL.server
    report = SampleReport()
    linked = SMALL.linked()
    password = SMALL.password() or secrets.token_urlsafe(24)
    if linked is None or not databases.are_filled(server, password):
        report.rows = databases.create_databases(server, password)
    if linked is None:
        dsns = {
            side: databases.dsn_for(server, side, password) for side in ENVIRONMENTS
        }
        configuration.apply_document(document(dsns))
        report.linked = True
    else:
        SMALL.follow_server()
    untouched = [
        table_map
        for table_map in TableMap.objects.filter(connection_set__name=CONNECTION_SET)
        if table_map.state == MapState.NOT_RUNNING and not table_map.runs.exists()
    ]
    if untouched:
        result = maps.run(untouched, master=Side.FINOPS, related=True)
        report.started = [table_map.name for table_map in result.changed]
    return report


def follow_server() -> bool:
    """Point the environments of all samples at the server of DATABASE_URL, which may
    answer on another port since it was started anew; True when some were changed."""
    followed = [pair.follow_server() for pair in (SMALL, READY_MADE)]
    return True in followed


def remove_sample() -> None:
    """Stop the sample's maps, forget link and environments, drop the databases."""
    SMALL.remove()


def sample_dsns(connection_set: str = CONNECTION_SET) -> dict[str, str]:
    """Connection strings of a connection set's environments, by side."""
    found = ConnectionSet.objects.filter(name=connection_set).first()
    if found is None:
        raise SampleError(
            f"There is no connection set {connection_set}: make the sample companies "
            "with 'manage.py sample' first."
        )
    return {side.value: found.environment(side).dsn for side in Side}
