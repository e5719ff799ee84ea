"""`dw health`."""

from __future__ import annotations

import argparse

from portal.checks.services import check_connection_set, check_map
from portal.checks.sets import administrator_script, check_alone, placed
from portal.environments.models import ConnectionSet, Environment
from portal.environments.queries import without_secrets
from portal.management.results import Add, Console, Result
from portal.maps.queries import find_maps
from syncengine.mapping.model import HealthFinding, Severity


def register(add: Add) -> None:
    """Add the health check."""
    parser = add("health", health, "check systems, maps and streams")
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "maps",
        nargs="*",
        default=[],
        metavar="MAP",
        help="only these maps, as they would be if they ran now; all without names",
    )
    which.add_argument(
        "--script",
        action="store_true",
        help="print what database administrators must run, for each environment",
    )


def health(options: argparse.Namespace, console: Console) -> Result:
    """All findings; exit 1 when one of them blocks a run."""
    if options.script:
        return _scripts()
    found = _of_maps(options.maps) if options.maps else _of_sets()
    healthy = not any(finding.severity is Severity.ERROR for _, finding in found)
    lines = []
    for _, finding in found:
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
                "map": name or None,
                "code": finding.code,
                "severity": finding.severity.value,
                "place": finding.place,
                "message": finding.message,
                "cure": finding.cure,
                "script": finding.script,
            }
            for name, finding in found
        ],
    }
    return Result(
        document,
        "\n".join(lines) or "All is well.",
        code=0 if healthy else 1,
        error="" if healthy else "The health check found errors.",
    )


def _of_maps(names: list[str]) -> list[tuple[str, HealthFinding]]:
    found = []
    for table_map in find_maps(names):
        where = f"{table_map.connection_set.name}/{table_map.name}"
        findings = placed(check_map(table_map).findings, where)
        found += [(table_map.name, finding) for finding in findings]
    return found


def _of_sets() -> list[tuple[str, HealthFinding]]:
    """Environments are read without their secrets: one that cannot be read is a
    finding about that environment."""
    found: list[tuple[str, HealthFinding]] = []
    for connection_set in without_secrets(ConnectionSet.objects.all()):
        found += check_connection_set(connection_set).by_map()
    return found


def _scripts() -> Result:
    """The statements database administrators must run; a comment where there are
    none, so that the whole is always a script."""
    lines, scripts, unreachable = [], [], []
    for environment in Environment.objects.defer("dsn"):
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
