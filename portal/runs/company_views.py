"""The companies of a connection set: listed, added, removed while maps run."""

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
from portal.runs import joining, left_out
from syncengine.mapping.model import LegalEntityPair, Side


@needs(Right.SEE, post=Right.LINK, of=ConnectionSet)
@require_http_methods(["GET", "HEAD", "POST"])
def companies(request: HttpRequest, pk: int) -> HttpResponse:
    """How the companies stand; a form that adds one, buttons that remove one."""
    connection_set = get_object_or_404(
        without_secrets(ConnectionSet.objects.all()), pk=pk
    )
    refused: Refusal | None = None
    removing = request.GET.get("remove", "")
    if request.method == "POST":
        try:
            messages.success(request, _change(request, connection_set))
        except Refusal as caught:
            refused = caught
        else:
            return redirect("connection_set_companies", pk=pk)
    standing = left_out.standing(connection_set)
    return page(
        request,
        "portal/companies.html",
        {
            "connection_set": connection_set,
            "standing": standing,
            "removing": next((s for s in standing if s.pair.finops == removing), None),
            "may_change": may(request, Right.LINK),
            "refused": refused,
            "values": request.POST,
            "back": in_the_admin(request, "environments_connectionset", pk),
        },
        title=f"Companies of {connection_set.name}",
        status=409 if refused else 200,
    )


def _change(request: HttpRequest, connection_set: ConnectionSet) -> str:
    linked = connection_set.legal_entity_pairs()
    gone = request.POST.get("remove", "")
    if gone:
        pairs = [pair for pair in linked if pair.finops != gone]
        joining.set_companies(connection_set, pairs, user=request.user)
        return f"{gone} is not linked any more; its records stay on both sides."
    finops = request.POST.get("finops", "").strip()
    dataverse = request.POST.get("dataverse", "").strip()
    if not finops or not dataverse:
        raise Refusal("Give the code of the company on both sides.", code="incomplete")
    if LegalEntityPair(finops, dataverse) in linked:
        raise Refusal(f"{finops} is linked already.", code="already_linked")
    master = request.POST.get("master", "")
    change = joining.set_companies(
        connection_set,
        [*linked, LegalEntityPair(finops, dataverse)],
        master=master if master in list(Side) else None,
        user=request.user,
    )
    count = len(change.joining)
    if not count:
        return f"{finops} is linked. Its rows are copied when maps are run."
    noun = "map copies" if count == 1 else "maps copy"
    return f"{finops} is linked: {count} {noun} its rows now."
