"""Makes the sample companies known to the portal, and lets it forget them again."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field

from django.conf import settings
from psycopg.conninfo import conninfo_to_dict

from portal.environments import services as environments
from portal.environments.models import ConnectionSet, Environment
from portal.maps import configuration
from portal.maps import services as maps
from portal.maps.models import MapState, TableMap
from portal.sample import databases
from portal.sample.databases import SampleError
from portal.sample.maps import CONNECTION_SET, ENVIRONMENTS, document
from syncengine.mapping.model import Side


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
    server = databases.maintenance_dsn(settings.DATABASE_URL)
    report = SampleReport()
    linked = _linked_set()
    password = _known_password() or secrets.token_urlsafe(24)
    if linked is None or not databases.are_filled(server, password):
        report.rows = databases.create_databases(server, password)
    if linked is None:
        dsns = {
            side: databases.dsn_for(server, side, password) for side in ENVIRONMENTS
        }
        configuration.apply_document(document(dsns))
        report.linked = True
    else:
        follow_server()
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
    """Point the sample environments at the server of DATABASE_URL, which may answer
    on another port since it was started anew; True when they had to be changed."""
    server = databases.maintenance_dsn(settings.DATABASE_URL)
    changed = False
    for side, name in ENVIRONMENTS.items():
        environment = Environment.objects.filter(name=name).first()
        if environment is None:
            continue
        parts = conninfo_to_dict(environment.dsn)
        if parts.get("user") != databases.role_name() or parts.get(
            "dbname"
        ) != databases.database_name(side):
            continue  # an administrator has pointed it elsewhere
        dsn = databases.dsn_for(server, side, str(parts.get("password", "")))
        changed |= bool(environments.update_environment(environment, dsn=dsn))
    return changed


def remove_sample() -> None:
    """Stop the sample's maps, forget link and environments, drop the databases."""
    linked = _linked_set()
    if linked is not None:
        active = linked.maps.exclude(state=MapState.NOT_RUNNING)
        if active:
            maps.stop(list(active))
        environments.unlink(linked, force=True)
    Environment.objects.filter(name__in=ENVIRONMENTS.values()).delete()
    databases.drop_databases(databases.maintenance_dsn(settings.DATABASE_URL))


def sample_dsns(connection_set: str = CONNECTION_SET) -> dict[str, str]:
    """Connection strings of a connection set's environments, by side."""
    found = ConnectionSet.objects.filter(name=connection_set).first()
    if found is None:
        raise SampleError(
            f"There is no connection set {connection_set}: make the sample companies "
            "with 'manage.py sample' first."
        )
    return {side.value: found.environment(side).dsn for side in Side}


def _linked_set() -> ConnectionSet | None:
    """The sample's connection set; refuses one of the same name that is not ours."""
    found = ConnectionSet.objects.filter(name=CONNECTION_SET).first()
    if found is None:
        return None
    names = {side.value: found.environment(side).name for side in Side}
    if names != ENVIRONMENTS:
        raise SampleError(
            f"A connection set {CONNECTION_SET} exists that is not the sample's; "
            "the sample companies are not made."
        )
    return found


def _known_password() -> str:
    """The password the product's role was given, as long as an environment knows it."""
    for environment in Environment.objects.filter(name__in=ENVIRONMENTS.values()):
        parts = conninfo_to_dict(environment.dsn)
        if parts.get("user") == databases.role_name() and parts.get("password"):
            return str(parts["password"])
    return ""
