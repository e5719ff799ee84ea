"""Running health checks and keeping their last results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from django.utils import timezone

from portal.checks.maps import MapCheck, inspect_map
from portal.checks.models import HealthReport
from portal.checks.queries import checkable_maps
from portal.checks.sets import SetCheck, inspect_connection_set
from portal.environments.models import ConnectionSet
from portal.maps.models import TableMap
from syncengine.mapping.model import HealthFinding, Severity


def check_map(table_map: TableMap) -> MapCheck:
    """Check a map as it would be if it ran now; changes nothing but the report kept
    of it. Never raises."""
    found = inspect_map(checkable_maps().get(pk=table_map.pk))
    _keep(
        table_map.connection_set_id,
        table_map,
        found.findings,
        needs=found.needs,
        needed_by=found.needed_by,
    )
    return found


def check_connection_set(connection_set: ConnectionSet) -> SetCheck:
    """Check both systems, the link, all maps and the streams; changes nothing but the
    report kept of it. Never raises."""
    found = inspect_connection_set(connection_set)
    _keep(connection_set.pk, None, found.findings)
    return found


def _keep(
    connection_set_id: int,
    table_map: TableMap | None,
    findings: Sequence[HealthFinding],
    *,
    needs: Sequence[str] = (),
    needed_by: Sequence[str] = (),
) -> HealthReport:
    severities = [finding.severity for finding in findings]
    report, _ = HealthReport.objects.update_or_create(
        connection_set_id=connection_set_id,
        table_map=table_map,
        defaults={
            "checked_at": timezone.now(),
            "errors": severities.count(Severity.ERROR),
            "warnings": severities.count(Severity.WARNING),
            "findings": [asdict(finding) for finding in findings],
            "needs": list(needs),
            "needed_by": list(needed_by),
        },
    )
    return report
