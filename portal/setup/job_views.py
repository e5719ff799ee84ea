"""Creating: consent, progress, going on, undoing; discarding; the sample; relinking."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.cache import never_cache
from django.views.decorators.http import (
    require_http_methods,
    require_POST,
    require_safe,
)

from portal.access import needs
from portal.accounts.roles import Right
from portal.confirming import Removal, confirm_removal
from portal.environments.copies import clean_up
from portal.environments.models import ConnectionSet, Environment
from portal.environments.queries import without_secrets
from portal.environments.relinking import relink
from portal.maps import services as maps
from portal.maps.models import MapState
from portal.pages import page, safe_next
from portal.refusals import Refusal
from portal.setup import creating, drafts
from portal.setup.access import setup_page
from portal.setup.models import DraftState, SetupDraft, StepState

ASKING = require_http_methods(["GET", "HEAD", "POST"])


def _draft(pk: int) -> SetupDraft:
    return get_object_or_404(SetupDraft, pk=pk)


@setup_page
@require_POST
def setup_agree(request: HttpRequest, pk: int) -> HttpResponse:
    """Begin to create the link, once it was agreed to."""
    draft = _draft(pk)
    user: Any = request.user
    if request.POST.get("consent") != "on":
        messages.error(request, "Tick that you agree, then create the link.")
        return redirect("setup_step", pk=pk, step="summary")
    try:
        creating.agree(draft, user=user)
    except Refusal as refused:
        messages.error(request, " ".join([refused.message, *refused.reasons]))
        step = "check" if refused.code == "unfinished" else "summary"
        return redirect("setup_step", pk=pk, step=step)
    return redirect("setup_progress", pk=pk)


def _progress(draft: SetupDraft) -> dict[str, Any]:
    steps = list(draft.steps.all())
    done = sum(step.state == StepState.DONE for step in steps)
    return {"draft": draft, "job": steps, "done": done, "whole": len(steps)}


@setup_page
@never_cache
@require_safe
def setup_progress(request: HttpRequest, pk: int) -> HttpResponse:
    """How far the job is."""
    draft = _draft(pk)
    if draft.state == DraftState.EDITING:
        return redirect("setup_step", pk=pk, step=draft.step)
    return page(
        request,
        "portal/setup_progress.html",
        _progress(draft),
        title=f"Set up {draft.name}",
    )


@setup_page
@never_cache
@require_safe
def setup_live(request: HttpRequest, pk: int) -> HttpResponse:
    """The steps as they are now; to the dashboard once all are done."""
    draft = _draft(pk)
    if draft.state == DraftState.DONE:
        messages.success(request, f"{draft.name} is set up: changes are carried over.")
        return HttpResponse(status=204, headers={"HX-Redirect": reverse("dashboard")})
    return render(request, "portal/_setup_steps.html", _progress(draft))


@setup_page
@require_POST
def setup_again(request: HttpRequest, pk: int) -> HttpResponse:
    """Go on where the job failed."""
    user: Any = request.user
    try:
        creating.again(_draft(pk), user=user)
    except Refusal as refused:
        messages.error(request, refused.message)
    return redirect("setup_progress", pk=pk)


@setup_page
@ASKING
def setup_undo(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask, then take away what was made and go back to the draft."""
    draft = _draft(pk)
    return _ask(
        request,
        draft,
        title=f"Undo what was made of {draft.name}?",
        lines=(
            "What the job installed in both databases is taken away, and the link is "
            "forgotten here. Records stay as they are on both sides.",
            "The draft stays: change what you like, check, and create it again.",
        ),
        word="Undo",
        act=lambda user: creating.undo(draft, user=user),
        done=f"What was made of {draft.name} was undone.",
        target=reverse("setup_step", args=[pk, "check"]),
    )


@setup_page
@ASKING
def setup_discard(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask, then forget a draft."""
    draft = _draft(pk)
    names = " and ".join(one.name for one in drafts.only_here(draft))
    forget = request.POST.get("forget") == "on"
    return _ask(
        request,
        draft,
        title=f"Discard the draft {draft.name}?",
        lines=("What was chosen in it is forgotten. Nothing changes in any system.",),
        word="Discard the draft",
        act=lambda user: drafts.discard(draft, forget=forget, user=user),
        tick=("forget", f"Forget {names} as well: used by no link and no other draft.")
        if names
        else None,
        done=f"The draft {draft.name} was discarded.",
        target=reverse("setup_list"),
    )


def _ask(
    request: HttpRequest,
    draft: SetupDraft,
    *,
    title: str,
    lines: tuple[str, ...],
    word: str,
    act: Any,
    done: str,
    target: str,
    tick: tuple[str, str] | None = None,
) -> HttpResponse:
    refused: Refusal | None = None
    if request.method == "POST":
        try:
            act(request.user)
        except Refusal as caught:
            refused = caught
        else:
            messages.success(request, done)
            return redirect(target)
    back = safe_next(request, reverse("setup_list"))
    return page(
        request,
        "portal/setup_question.html",
        {
            "draft": draft,
            "lines": lines,
            "word": word,
            "refused": refused,
            "tick": tick,
            "next": back,
        },
        title=title,
        status=409 if refused else 200,
    )


@setup_page
@require_POST
def setup_sample(request: HttpRequest) -> HttpResponse:
    """Have the sample companies made."""
    user: Any = request.user
    draft = creating.take_sample(user=user)
    return redirect("setup_progress", pk=draft.pk)


@needs(Right.LINK, of=Environment)
@ASKING
def environment_clean(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask for the name, then take away what a copied or restored system brought."""
    environment = get_object_or_404(Environment, pk=pk)
    user: Any = request.user
    back = safe_next(request, reverse("environment_check", args=[pk]))

    def remove(force: bool) -> tuple[str, str]:
        clean_up(environment, user=user, force=force)
        return (
            f"{environment.name} was cleaned up and can be linked.",
            back,
        )

    removal = Removal(
        verb="Clean up",
        name=environment.name,
        kind="environment",
        losses=(
            "What a link left in this database is taken away: its replication slot, "
            "publication, replica identities and rows in the schema dualwrite. "
            "Records stay as they are.",
            "Do this where the database was copied or restored. If another portal "
            "keeps this very database in step, that link ends.",
        ),
        back=back,
        forcible=True,
    )
    return confirm_removal(request, removal, remove)


@needs(Right.LINK, of=ConnectionSet)
@ASKING
def connection_set_relink(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask for the name, then clean both sides up and link them anew."""
    connection_set = get_object_or_404(
        without_secrets(ConnectionSet.objects.all()), pk=pk
    )
    user: Any = request.user

    def remove(_force: bool) -> tuple[str, str]:
        active = list(connection_set.maps.exclude(state=MapState.NOT_RUNNING))
        result = relink(
            connection_set,
            stop=lambda: maps.stop(active, user=user) if active else None,
            user=user,
        )
        ids = list(
            connection_set.maps.exclude(version=None).values_list("pk", flat=True)
        )
        also = (
            f" {' and '.join(result.moved)} answered as another database than before; "
            "if the former one still runs, its set-up is removed with the script in "
            "the activity log."
            if result.moved
            else ""
        )
        address = reverse("map_list")
        if ids:
            address = f"{reverse('map_run')}?{urlencode({'map': ids}, doseq=True)}"
        return (
            f"{connection_set.name} was cleaned up and linked anew. Run its maps "
            f"again, with a first copy.{also}",
            address,
        )

    removal = Removal(
        verb="Clean up and relink",
        name=connection_set.name,
        kind="connection set",
        losses=(
            "All its maps are stopped; changes that wait in the queue are thrown away.",
            "What the link installed in both databases is taken away and made anew "
            "when maps run. A database that was copied or restored loses what it "
            "brought along of other links.",
            "Companies, maps with their versions, and all records stay as they are. "
            "Run the maps again afterwards, with a first copy: nobody knows what the "
            "other system missed meanwhile.",
        ),
        back=reverse("connection_set_check", args=[pk]),
    )
    return confirm_removal(request, removal, remove)
