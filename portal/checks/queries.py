"""What the pages show of health checks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import QuerySet
from django.utils import timezone

from portal.checks.models import HealthReport
from portal.maps.models import TableMap
from syncengine.mapping.model import HealthFinding

FRESH_FOR = timedelta(minutes=1)
"""A page shows a younger report as it is, and has an older one made anew."""


@dataclass(frozen=True)
class MapHealth:
    """The last report of a map as its page shows it. `due` when it should be made
    anew. `needs` and `needed_by` are the related maps with their present states, in
    the order of a run."""

    checked_at: datetime | None
    worst: str
    errors: int
    warnings: int
    findings: Sequence[HealthFinding]
    needs: Sequence[TableMap]
    needed_by: Sequence[TableMap]
    due: bool

    @property
    def count(self) -> int:
        """How many findings need somebody."""
        return self.errors + self.warnings


def checkable_maps() -> QuerySet[TableMap]:
    """Maps with all that a check reads of them; connection strings are read when they
    are used, as one that cannot be read is a finding."""
    return TableMap.objects.select_related(
        "connection_set__finops", "connection_set__dataverse", "version__table_map"
    ).defer("connection_set__finops__dsn", "connection_set__dataverse__dsn")


UNKNOWN = MapHealth(None, "unknown", 0, 0, (), (), (), due=True)


def report_of(table_map: TableMap) -> HealthReport | None:
    """The report kept of a map."""
    return HealthReport.objects.filter(table_map=table_map).first()


def map_health(table_map: TableMap, *, now: datetime | None = None) -> MapHealth:
    """What is known of a map's health, two queries."""
    report = report_of(table_map)
    if report is None:
        return UNKNOWN
    named = {
        one.name: one
        for one in TableMap.objects.filter(
            connection_set=table_map.connection_set_id,
            name__in=[*report.needs, *report.needed_by],
        )
    }
    changes = (table_map.state_changed_at, _version_at(table_map))
    return MapHealth(
        checked_at=report.checked_at,
        worst=report.worst,
        errors=report.errors,
        warnings=report.warnings,
        findings=report.shown(),
        needs=[named[name] for name in report.needs if name in named],
        needed_by=[named[name] for name in report.needed_by if name in named],
        due=(now or timezone.now()) - report.checked_at > FRESH_FOR
        or any(moment and moment > report.checked_at for moment in changes),
    )


def _version_at(table_map: TableMap) -> datetime | None:
    return table_map.version.created_at if table_map.version else None
