"""The page before something is taken away: it asks for the name. The view says which
right that needs (`portal.access.needs`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from portal.pages import page
from portal.refusals import ActionForbidden, Refusal


@dataclass(frozen=True)
class Removal:
    """What is about to be taken away and what that means. `forcible` when what
    cannot be cleaned up elsewhere may be left there; `back` is where Cancel leads."""

    verb: str
    name: str
    kind: str
    losses: Sequence[str]
    back: str
    forcible: bool = False


def confirm_removal(
    request: HttpRequest,
    removal: Removal,
    remove: Callable[[bool], tuple[str, str]],
) -> HttpResponse:
    """Show the question; once the name is typed, remove and go on.

    `remove` takes whether to force and gives the message and the address to go to.
    A refusal is shown on the same page.
    """
    refused: Refusal | None = None
    mistyped = False
    forced = removal.forcible and request.POST.get("force") == "on"
    if request.method == "POST":
        mistyped = request.POST.get("name", "").strip() != removal.name
        if not mistyped:
            try:
                message, address = remove(forced)
            except Refusal as caught:
                refused = caught
            else:
                messages.success(request, message)
                return redirect(address)
    offers_force = removal.forcible and (
        forced or (refused is not None and not isinstance(refused, ActionForbidden))
    )
    return page(
        request,
        "portal/removal.html",
        {
            "removal": removal,
            "refused": refused,
            "mistyped": mistyped,
            "offers_force": offers_force,
            "forced": forced,
        },
        title=f"{removal.verb} {removal.name}",
        status=409 if refused else 400 if mistyped else 200,
    )
