"""`dw health`."""

from __future__ import annotations

import argparse

from portal.environments.models import ConnectionSet, Environment
from portal.management.results import Add, Console, Result
from portal.runs.health import (
    administrator_script,
    check_alone,
    check_connection_set,
)
from syncengine.mapping.model import Severity


def register(add: Add) -> None:
    """Add the health check."""
    parser = add("health", health, "check systems, maps and streams")
    parser.add_argument(
        "--script",
        action="store_true",
        help="print what database administrators must run, for each environment",
    )


def health(options: argparse.Namespace, console: Console) -> Result:
    """All findings; exit 1 when one of them blocks a run."""
    if options.script:
        return _scripts()
    findings = [
        finding
        for connection_set in ConnectionSet.objects.select_related(
            "finops", "dataverse"
        )
        for finding in check_connection_set(connection_set).findings
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


def _scripts() -> Result:
    """The statements database administrators must run; a comment where there are
    none, so that the whole is always a script."""
    lines, scripts, unreachable = [], [], []
    for environment in Environment.objects.all():
        tested = check_alone(environment)
        script = administrator_script(tested.findings)
        if tested.description is None:
            problem = tested.findings[0].message
            unreachable.append(problem)
            lines.append(f"-- {environment.name}: {' '.join(problem.split())}")
        elif not script:
            lines.append(f"-- {environment.name}: nothing to run.")
        else:
            lines += [f"-- {environment.name}", script.rstrip("\n")]
        scripts.append({"environment": environment.name, "script": script})
    return Result(
        {"scripts": scripts},
        "\n".join(lines) or "-- There are no environments yet.",
        code=1 if unreachable else 0,
        error="\n".join(unreachable),
    )
