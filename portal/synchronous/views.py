"""The page of a connection set's synchronous mode."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_http_methods

from portal.access import in_the_admin, may, needs
from portal.accounts.roles import Right
from portal.environments.models import ConnectionSet
from portal.environments.queries import without_secrets
from portal.pages import page
from portal.refusals import Refusal
from portal.synchronous import queries, services
from portal.synchronous.models import (
    DEFAULT_TIMEOUT,
    LONGEST_TIMEOUT,
    SHORTEST_TIMEOUT,
)
from syncengine.errors import EngineError
from syncengine.mapping.model import Side


@needs(Right.SEE, post=Right.LINK, of=ConnectionSet)
@require_http_methods(["GET", "HEAD", "POST"])
def synchronous_mode(request: HttpRequest, pk: int) -> HttpResponse:
    """Show both sides and what the mode means; turn it on, once that was read, or
    off."""
    connection_set = get_object_or_404(
        without_secrets(ConnectionSet.objects.all()), pk=pk
    )
    refused: Refusal | None = None
    if request.method == "POST":
        try:
            messages.success(request, _switch(request, connection_set))
            return redirect("connection_set_synchronous", pk=pk)
        except Refusal as caught:
            refused = caught
        except EngineError as error:
            refused = Refusal(error.message, code=error.code)
    modes = queries.modes_of(connection_set)
    return page(
        request,
        "portal/synchronous.html",
        {
            "connection_set": connection_set,
            "modes": modes,
            "wanted": any(mode["wanted"] for mode in modes),
            "sides": [
                {"value": side.value, "environment": connection_set.environment(side)}
                for side in Side
            ],
            "may_change": may(request, Right.LINK),
            "refused": refused,
            "timeout": request.POST.get("timeout") or f"{_timeout(modes):g}",
            "shortest": SHORTEST_TIMEOUT,
            "longest": LONGEST_TIMEOUT,
            "back": in_the_admin(request, "environments_connectionset", pk),
        },
        title=f"Synchronous mode of {connection_set.name}",
        status=409 if refused else 200,
    )


def _timeout(modes: list[dict[str, object]]) -> float:
    found = [float(str(mode["timeout_seconds"])) for mode in modes if mode["wanted"]]
    return max(found, default=DEFAULT_TIMEOUT)


def _switch(request: HttpRequest, connection_set: ConnectionSet) -> str:
    user = request.user if request.user.is_authenticated else None
    if request.POST.get("switch") == "off":
        services.turn_off(connection_set, user=user)
        return "Commits do not wait any more."
    sides = [side for side in Side if side.value in request.POST.getlist("source")]
    if not sides:
        raise Refusal("Choose a side whose commits are to wait.", code="no_side")
    try:
        timeout = float(request.POST.get("timeout", ""))
    except ValueError:
        raise Refusal(
            "The time-out must be a number of seconds.", code="timeout_out_of_range"
        ) from None
    services.turn_on(connection_set, sides, timeout=timeout, user=user)
    return "Commits wait as soon as changes get through; see the state below."
