"""`dw health`."""

from __future__ import annotations

import argparse

from portal.environments.models import ConnectionSet
from portal.management.results import Add, Console, Result
from portal.runs.health import check_connection_set
from syncengine.mapping.model import Severity


def register(add: Add) -> None:
    """Add the health check."""
    add("health", health, "check systems, maps and streams")


def health(options: argparse.Namespace, console: Console) -> Result:
    """All findings; exit 1 when one of them blocks a run."""
    findings = [
        finding
        for connection_set in ConnectionSet.objects.select_related(
            "finops", "dataverse"
        )
        for finding in check_connection_set(connection_set)
    ]
    healthy = not any(finding.severity is Severity.ERROR for finding in findings)
    lines = []
    for finding in findings:
        lines.append(
            f"{finding.severity.value} {finding.code} {finding.place}: "
            f"{finding.message}"
        )
        lines += [f"    {finding.cure}"] if finding.cure else []
        lines += [f"    {line}" for line in finding.script.splitlines()]
    document = {
        "healthy": healthy,
        "findings": [
            {
                "code": finding.code,
                "severity": finding.severity.value,
                "place": finding.place,
                "message": finding.message,
                "cure": finding.cure,
                "script": finding.script,
            }
            for finding in findings
        ],
    }
    return Result(
        document,
        "\n".join(lines) or "All is well.",
        code=0 if healthy else 1,
        error="" if healthy else "The health check found errors.",
    )
