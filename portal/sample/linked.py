"""What the portal knows of a pair of sample databases: their link and their role."""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings
from psycopg.conninfo import conninfo_to_dict

from portal.environments import services as environments
from portal.environments.models import ConnectionSet, Environment
from portal.maps import services as maps
from portal.maps.models import MapState
from portal.sample import databases
from portal.sample.databases import SampleError
from syncengine.mapping.model import Side


@dataclass(frozen=True)
class Pair:
    """Two sample databases and the names they go by in the portal. `finops` and
    `dataverse` are environments; `prefix` begins the names of databases and role."""

    connection_set: str
    finops: str
    dataverse: str
    prefix: str

    @property
    def environments(self) -> dict[str, str]:
        """The environments' names by side."""
        return {Side.FINOPS.value: self.finops, Side.DATAVERSE.value: self.dataverse}

    @property
    def server(self) -> str:
        """The server both databases are on: the portal's own."""
        return databases.maintenance_dsn(settings.DATABASE_URL)

    def linked(self) -> ConnectionSet | None:
        """The pair's connection set; refuses one of the same name that is not ours."""
        found = ConnectionSet.objects.filter(name=self.connection_set).first()
        if found is None:
            return None
        names = {side.value: found.environment(side).name for side in Side}
        if names != self.environments:
            raise SampleError(
                f"A connection set {self.connection_set} exists that is not the "
                "sample's; the sample companies are not made."
            )
        return found

    def password(self) -> str:
        """The password the product's role was given, as far as an environment of the
        pair knows it."""
        for environment in self._stored():
            parts = conninfo_to_dict(environment.dsn)
            if parts.get("user") == databases.role_name(self.prefix):
                return str(parts.get("password") or "")
        return ""

    def follow_server(self) -> bool:
        """Point the environments at the server of DATABASE_URL, which may answer on
        another port since it was started anew; True when they had to be changed."""
        sides = {name: side for side, name in self.environments.items()}
        changed = False
        for environment in self._stored():
            parts = conninfo_to_dict(environment.dsn)
            side = sides[environment.name]
            name = databases.database_name(side, self.prefix)
            own = databases.role_name(self.prefix), name
            if (parts.get("user"), parts.get("dbname")) != own:
                continue  # an administrator has pointed it elsewhere
            password = str(parts.get("password", ""))
            dsn = databases.dsn_for(self.server, side, password, self.prefix)
            changed |= bool(environments.update_environment(environment, dsn=dsn))
        return changed

    def remove(self) -> None:
        """Stop the maps, forget link and environments, drop the databases."""
        linked = self.linked()
        if linked is not None:
            active = linked.maps.exclude(state=MapState.NOT_RUNNING)
            if active:
                maps.stop(list(active))
            environments.unlink(linked, force=True)
        Environment.objects.filter(name__in=self.environments.values()).delete()
        databases.drop_databases(self.server, self.prefix)

    def _stored(self) -> list[Environment]:
        return list(Environment.objects.filter(name__in=self.environments.values()))
