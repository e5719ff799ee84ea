"""Checking environments and links, unlinking, and forgetting an environment."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.http import require_http_methods, require_safe

from portal.access import in_the_admin, needs
from portal.accounts.roles import Right
from portal.checks.services import check_connection_set
from portal.checks.sets import LEFT, SetCheck, administrator_script, check_alone
from portal.confirming import Removal, confirm_removal
from portal.environments import services
from portal.environments.models import ConnectionSet, Environment
from portal.environments.queries import linked_set, without_secrets
from portal.pages import page
from syncengine.mapping.model import HealthFinding, Severity, Side

MOVED = "DIPV1007"
COPIED = LEFT | {MOVED}
ASKING = require_http_methods(["GET", "HEAD", "POST"])


def _side(environment: Environment, tested: services.ConnectionTest) -> dict[str, Any]:
    return {
        "environment": environment,
        "tested": tested,
        "script": administrator_script(tested.findings),
    }


def _has(findings: Iterable[HealthFinding], codes: Collection[str]) -> bool:
    return any(finding.code in codes for finding in findings)


def _maps(connection_set: ConnectionSet, found: SetCheck) -> list[dict[str, Any]]:
    """The maps with findings, those that cannot run first."""
    ids = dict(connection_set.maps.values_list("name", "pk"))
    maps = [
        {
            "id": ids.get(name),
            "name": name,
            "findings": findings,
            "blocked": any(one.severity is Severity.ERROR for one in findings),
        }
        for name, findings in found.maps.items()
    ]
    return sorted(maps, key=lambda one: not one["blocked"])


@needs(Right.SEE, of=Environment)
@require_safe
def check_environment(request: HttpRequest, pk: int) -> HttpResponse:
    """Reach an environment and show what it lacks; changes nothing."""
    environment = get_object_or_404(Environment.objects.defer("dsn"), pk=pk)
    tested = check_alone(environment)
    return page(
        request,
        "portal/check.html",
        {
            "sides": [_side(environment, tested)],
            "passed": tested.passed,
            "clean_up": linked_set(environment) is None
            and _has(tested.findings, COPIED),
            "back": in_the_admin(request, "environments_environment", pk),
        },
        title=f"Check {environment.name}",
    )


@needs(Right.SEE, of=ConnectionSet)
@require_safe
def check_set(request: HttpRequest, pk: int) -> HttpResponse:
    """Check both environments of a link, its maps and its streams."""
    connection_set = _linked(pk)
    found = check_connection_set(connection_set)
    return page(
        request,
        "portal/check.html",
        {
            "sides": [
                _side(connection_set.environment(side), found.sides[side])
                for side in Side
            ],
            "found": found,
            "maps": _maps(connection_set, found),
            "clean": connection_set.maps.count() - len(found.maps),
            "passed": found.passed,
            "relink": connection_set if _has(found.findings, {MOVED}) else None,
            "back": in_the_admin(request, "environments_connectionset", pk),
        },
        title=f"Check {connection_set.name}",
    )


@needs(Right.LINK, of=ConnectionSet)
@ASKING
def unlink(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask for the name, then end a link and clean both databases up."""
    connection_set = _linked(pk)
    count = connection_set.maps.count()
    finops, dataverse = connection_set.finops, connection_set.dataverse

    def remove(force: bool) -> tuple[str, str]:
        result = services.unlink(connection_set, user=request.user, force=force)
        address = reverse("admin:environments_connectionset_changelist")
        if result.left_behind:
            query = urlencode({"correlation": result.correlation_id})
            address = f"{reverse('activity_list')}?{query}"
        return result.message, address

    removal = Removal(
        verb="Unlink",
        name=connection_set.name,
        kind="connection set",
        losses=(
            f"The link between {finops.name} and {dataverse.name} ends: what was "
            "installed there to read changes (replication slot, publication, replica "
            "identity, schema dualwrite) is removed, and both databases are as they "
            "were before.",
            f"Its {'map is' if count == 1 else f'{count} maps are'} deleted here, "
            "with versions, runs, queued changes and errors. The activity log stays."
            if count
            else "It has no maps.",
            "The records of both systems stay as they are.",
        ),
        back=reverse("admin:environments_connectionset_change", args=[pk]),
        forcible=True,
    )
    return confirm_removal(request, removal, remove)


@needs(Right.LINK, of=Environment)
@ASKING
def delete_environment(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask for the name, then forget an environment."""
    environment = get_object_or_404(Environment, pk=pk)

    def remove(_force: bool) -> tuple[str, str]:
        services.delete_environment(environment, user=request.user)
        return (
            f"Environment {environment.name} was deleted.",
            reverse("admin:environments_environment_changelist"),
        )

    removal = Removal(
        verb="Delete",
        name=environment.name,
        kind="environment",
        losses=(
            "The portal forgets the environment, its connection string and its "
            "integration keys. Nothing changes in the system itself.",
        ),
        back=reverse("admin:environments_environment_change", args=[pk]),
    )
    return confirm_removal(request, removal, remove)


def _linked(pk: int) -> ConnectionSet:
    return get_object_or_404(without_secrets(ConnectionSet.objects.all()), pk=pk)
