"""Initial syncs of tests: run, tick, work; the streams are played."""

from __future__ import annotations

from portal.environments.models import ConnectionSet, Stream
from portal.maps import services as maps
from portal.maps.models import TableMap
from portal.runs import chunks, progress
from portal.runs.models import InitialSyncRun
from portal.sync.control import PortalControl
from syncengine.mapping.model import Side
from syncengine.mapping.model import TableMap as Definition
from tests.engine.pair import CUSTOMERS_MAP


def start(
    link: ConnectionSet, definition: Definition = CUSTOMERS_MAP, **options: object
) -> InitialSyncRun:
    """The run of a map that was just asked to run, the ERP being master."""
    table_map = TableMap.objects.filter(name=definition.name).first()
    table_map = table_map or maps.create_map(link, definition)
    options = {"master": Side.FINOPS, **options}
    maps.run([table_map], **options)  # type: ignore[arg-type]
    return table_map.runs.latest("pk")


def acknowledge(link: ConnectionSet) -> None:
    """What the streams do once they see the newest revision."""
    link.refresh_from_db()
    Stream.objects.filter(connection_set=link).update(
        acknowledged_revision=link.revision
    )


def copy(run: InitialSyncRun, chunk_rows: int = 50_000) -> None:
    """Tick and work until nothing is left to copy."""
    while progress.advance_runs(chunk_rows=chunk_rows).get(run.pk):
        chunks.copy_chunks(run.pk)
    run.refresh_from_db()


def drain(run: InitialSyncRun) -> None:
    """What the streams do when the queue of each leg is empty."""
    link = run.table_map.connection_set
    for stream in Stream.objects.filter(connection_set=link):
        control = PortalControl(link, stream)
        for leg in control.configuration().legs:
            assert control.drained(leg)
    run.refresh_from_db()


def counts(run: InitialSyncRun) -> dict[tuple[str, str], tuple[int, ...]]:
    return {
        (leg.direction.split("_")[0], leg.legal_entity): (
            leg.inserted,
            leg.updated,
            leg.unchanged + leg.skipped,
            leg.failed,
        )
        for leg in run.legs.all()
    }
