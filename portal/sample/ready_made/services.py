"""Makes the ready-made sample known to the portal, and lets it forget it again."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field

from portal.environments.models import ConnectionSet
from portal.maps import configuration, ready_made
from portal.sample import databases
from portal.sample.databases import SampleError
from portal.sample.linked import Pair
from portal.sample.ready_made.companies import COMPANY_RULES, LEGAL_ENTITIES
from portal.sample.ready_made.populations import Sizes
from portal.sample.ready_made.seed import seeder
from portal.sample.ready_made.tables import tables
from syncengine import catalog
from syncengine.mapping.files import ConnectionSetFile, Document, EnvironmentFile
from syncengine.mapping.model import Side

READY_MADE = Pair("ready-made", "ready-made-erp", "ready-made-crm", "ready_made")


@dataclass
class ReadyMadeReport:
    """What was missing and has been made: rows by side and table, whether the link is
    new, and the maps that were installed."""

    rows: dict[str, dict[str, int]] = field(default_factory=dict)
    linked: bool = False
    installed: list[str] = field(default_factory=list)

    @property
    def changed(self) -> bool:
        """Whether anything was missing."""
        return bool(self.rows or self.linked or self.installed)


def ensure_ready_made(sizes: Sizes | None = None) -> ReadyMadeReport:
    """Make what is missing of the ready-made sample: both databases with rows for all
    maps, their link, and the maps, none of which is started.

    Databases that have their rows keep them, whatever `sizes` says. May be called
    again at any time, also after a crash. Must not be called inside a transaction.
    Raises SampleError or Refusal with a sentence that says what to do.
    """
    sizes = sizes or Sizes()
    _refuse_unknown(sizes.rows)
    server = READY_MADE.server
    report = ReadyMadeReport()
    linked = READY_MADE.linked()
    password = READY_MADE.password() or secrets.token_urlsafe(24)
    prefix = READY_MADE.prefix
    if linked is None or not databases.are_filled(server, password, prefix):
        seeders = {side.value: seeder(side, sizes) for side in Side}
        report.rows = databases.create_databases(server, password, prefix, seeders)
    if linked is None:
        configuration.apply_document(_document(password))
        report.linked = True
        linked = ConnectionSet.objects.get(name=READY_MADE.connection_set)
    else:
        READY_MADE.follow_server()
    everything = [entry.name for entry in catalog.entries()]
    installation = ready_made.install(linked, everything)
    report.installed = [table_map.name for table_map in installation.installed]
    return report


def remove_ready_made() -> None:
    """Stop the maps, forget link and environments, drop the databases."""
    READY_MADE.remove()


def _refuse_unknown(names: Iterable[str]) -> None:
    known = {table.name for side in Side for table in tables(side)}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise SampleError(
            f"The ready-made sample has no table {', '.join(unknown)}: name tables of "
            "the ERP or the CRM, such as customersv3 or accounts."
        )


def _document(password: str) -> Document:
    server = READY_MADE.server
    return Document(
        environments=tuple(
            EnvironmentFile(
                name=READY_MADE.environments[side],
                role=side,
                connector="postgres",
                dsn=databases.dsn_for(server, side.value, password, READY_MADE.prefix),
                company=COMPANY_RULES[side],
            )
            for side in Side
        ),
        connection_sets=(
            ConnectionSetFile(
                READY_MADE.connection_set,
                READY_MADE.finops,
                READY_MADE.dataverse,
                LEGAL_ENTITIES,
            ),
        ),
    )
