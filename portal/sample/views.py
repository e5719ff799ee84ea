"""The page where a customer of the sample is changed and seen to cross over."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from portal.access import may, needs
from portal.accounts.roles import Right
from portal.environments.models import ConnectionSet
from portal.maps.models import MapState, TableMap
from portal.overview.templatetags.portal_pages import latency
from portal.pages import page
from portal.refusals import NotFound, Refusal
from portal.sample import crossing
from portal.setup.access import may_set_up
from syncengine.mapping.model import Side

NAMES = {Side.FINOPS: "the ERP", Side.DATAVERSE: "the CRM"}


@needs(Right.SEE, post=Right.RUN, all_companies=True)
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def sample_change(request: HttpRequest) -> HttpResponse:
    """A customer on both sides; posted, one is changed and the other waited for."""
    try:
        linked = crossing.linked_sample()
    except NotFound as error:
        raise Http404(error.message) from error
    if not ConnectionSet.objects.visible_to(request.user).filter(pk=linked.pk).exists():
        raise Http404("There is no such thing here for you to see.")
    refused: Refusal | None = None
    account = request.GET.get("customer", "").strip()
    if request.method == "POST":
        try:
            made = _change(request, linked)
        except Refusal as error:
            refused, account = error, request.POST.get("customer", "")
        else:
            _tell(request, made)
            query = urlencode({"customer": made.account})
            return redirect(f"{reverse('sample_change')}?{query}")
    return page(
        request,
        "portal/sample_change.html",
        {
            **_shown(linked, account),
            "refused": refused,
            "may_change": may(request, Right.RUN),
            "may_set_up": may_set_up(request.user),
            "map": TableMap.objects.filter(
                connection_set=linked, name=crossing.MAP
            ).first(),
            "running": MapState.RUNNING,
        },
        title="Change a value and watch it cross",
        status=409 if refused else 200,
    )


def _shown(linked: ConnectionSet, account: str) -> dict[str, Any]:
    try:
        found = crossing.customer(linked, account)
    except NotFound as error:
        raise Http404(error.message) from error
    except Refusal as error:
        return {"unreadable": error}
    return {
        "found": found,
        "sides": [
            (side, NAMES[side], linked.environment(side).name, found.sides[side])
            for side in Side
        ],
    }


def _change(request: HttpRequest, linked: ConnectionSet) -> crossing.Crossing:
    side = request.POST.get("side", "")
    if side not in list(Side):
        raise Refusal("Say which side is to be changed.")
    user: Any = request.user
    return crossing.change(
        linked,
        Side(side),
        request.POST.get("customer", ""),
        crossing.fields(
            request.POST.get("name", ""), request.POST.get("credit_limit", "")
        ),
        user=user,
    )


def _tell(request: HttpRequest, made: crossing.Crossing) -> None:
    here, there = NAMES[made.side], NAMES[made.side.other]
    if made.seconds is None:
        messages.warning(
            request,
            f"Saved in {here}, but not in {there} yet. It follows as soon as the map "
            "and both streams run and nothing refuses it: see the dashboard.",
        )
    else:
        messages.success(
            request,
            f"It crossed over: {there} had it {latency(made.seconds)} after it was "
            f"saved in {here}.",
        )
