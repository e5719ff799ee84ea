"""Initial syncs: the list of all, cancelling, repeating, skipping, their errors."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.http import require_http_methods, require_safe

from portal import labels
from portal.access import needs
from portal.accounts.roles import Right
from portal.accounts.scope import scope_of
from portal.activity.models import ActivityEvent
from portal.environments.models import ConnectionSet
from portal.errors.models import SyncError
from portal.maps.models import MapState
from portal.pages import csv_download, keyset_page, page, safe_next
from portal.refusals import Refusal
from portal.runs import left_out, services
from portal.runs.figures import figures, runs_of
from portal.runs.models import ACTIVE_RUN_STATES, InitialSyncRun, RunState
from portal.runs.queries import errors_of
from syncengine.mapping.model import Direction

ASKING = require_http_methods(["GET", "HEAD", "POST"])
LOG_LINES = 100
CSV_COLUMNS = (
    *("id", "direction", "key", "code", "column", "message", "remote", "state"),
    *("count", "first_seen", "last_seen", "source_row"),
)


def _listed(request: HttpRequest) -> dict[str, Any]:
    state = request.GET.get("state", "")
    search = request.GET.get("q", "").strip()
    linked = request.GET.get("set", "").strip()
    runs = runs_of().visible_to(request.user)
    if search:
        runs = runs.filter(table_map__name__icontains=search)
    if linked:
        runs = runs.filter(table_map__connection_set__name=linked)
    if state == "active":
        runs = runs.filter(state__in=ACTIVE_RUN_STATES)
    elif state in RunState.values:
        runs = runs.filter(state=state)
    found = keyset_page(runs, request)
    return {
        "page": found,
        "rows": figures(found.rows, scope=scope_of(request.user)),
        "state": state,
        "states": [("active", "Not over"), *RunState.choices],
        "search": search,
        "linked": linked,
        "sets": ConnectionSet.objects.visible_to(request.user)
        .order_by("name")
        .values_list("name", flat=True),
        "narrowed": bool(state or search or linked),
        "query": urlencode(
            {
                name: value
                for name, value in (("state", state), ("q", search), ("set", linked))
                if value
            }
        ),
    }


@needs(Right.SEE)
@require_safe
def run_list(request: HttpRequest) -> HttpResponse:
    """All initial syncs, newest first."""
    return page(
        request, "portal/run_list.html", _listed(request), title="Initial syncs"
    )


@needs(Right.SEE)
@require_safe
def run_list_live(request: HttpRequest) -> HttpResponse:
    """The listed runs as they are now."""
    return render(request, "portal/_run_rows.html", {**_listed(request), "oob": True})


def _shown(request: HttpRequest, pk: int) -> dict[str, Any]:
    """A run with all its legs, and what can be done with it."""
    run = get_object_or_404(runs_of(), pk=pk)
    (one,) = figures([run], scope=scope_of(request.user))
    newest = runs_of([run.table_map_id]).values_list("pk", flat=True).first()
    return {
        "run": run,
        "one": one,
        "broken_off": run.pk in left_out.broken_off([run]),
        "may_run": newest == run.pk and run.table_map.state == MapState.NOT_RUNNING,
    }


@needs(Right.SEE, of=InitialSyncRun)
@require_safe
def run_page(request: HttpRequest, pk: int) -> HttpResponse:
    """One initial sync: every leg, the records that failed, and what happened."""
    shown = _shown(request, pk)
    run: InitialSyncRun = shown["run"]
    direction = request.GET.get("direction", "")
    failed = errors_of(run).visible_to(request.user)
    if direction in list(Direction):
        failed = failed.filter(direction=direction)
    events = (
        ActivityEvent.objects.visible_to(request.user)
        .filter(table_map=run.table_map_id, correlation_id=run.correlation_id)
        .exclude(correlation_id="")
    )
    return page(
        request,
        "portal/run_page.html",
        {
            **shown,
            "page": keyset_page(failed, request, shared="table_map"),
            "direction": direction,
            "directions": labels.DIRECTIONS.items(),
            "query": urlencode({"direction": direction}) if direction else "",
            "events": events.order_by("pk")[:LOG_LINES],
        },
        title=f"Initial sync {run.pk}: {run.table_map.name}",
    )


@needs(Right.SEE, of=InitialSyncRun)
@require_safe
def run_live(request: HttpRequest, pk: int) -> HttpResponse:
    """The run as it is now; the page is loaded anew once it is over."""
    shown = _shown(request, pk)
    if not shown["one"].active:
        return HttpResponse(status=204, headers={"HX-Refresh": "true"})
    return render(request, "portal/_run_live.html", {**shown, "oob": True})


def _run(pk: int) -> InitialSyncRun:
    return get_object_or_404(
        InitialSyncRun.objects.select_related("table_map__connection_set"), pk=pk
    )


def _ask(
    request: HttpRequest,
    run: InitialSyncRun,
    question: dict[str, Any],
    act: Callable[[], object],
    done: str,
    check: Callable[[], object] | None = None,
) -> HttpResponse:
    """Show the question; once it is answered, act and go back. Where `check` refuses
    there is nothing to ask."""
    back = safe_next(
        request, reverse("map_tab", args=[run.table_map_id, "initial-sync"])
    )
    refused: Refusal | None = None
    try:
        if check is not None:
            check()
        if request.method == "POST":
            act()
            messages.success(request, done)
            return redirect(back)
    except Refusal as caught:
        refused = caught
    return page(
        request,
        "portal/run_question.html",
        {"run": run, "question": question, "refused": refused, "next": back},
        title=f"Initial sync of {run.table_map.name}" if refused else question["title"],
        status=409 if refused else 200,
    )


@needs(Right.RUN, of=InitialSyncRun)
@ASKING
def run_cancel(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask, then cancel a run."""
    run = _run(pk)
    name = run.table_map.name
    after = (
        f"Nothing of {run.companies} is carried over by {name} until their rows are "
        "copied again, or the copy is skipped. The other companies go on."
        if run.joins
        else f"{name} is Not running afterwards; its queued changes are thrown away."
    )
    question = {
        "title": f"Cancel the initial sync of {name}?",
        "lines": [
            "Workers stop within seconds. Rows that were copied so far stay.",
            after,
        ],
        "word": "Cancel the initial sync",
        "icon": "cancel",
    }
    return _ask(
        request,
        run,
        question,
        lambda: services.cancel_run(run, user=request.user),
        f"The initial sync of {name} was cancelled.",
    )


@needs(Right.RUN, of=InitialSyncRun)
@ASKING
def run_again(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask, then copy the rows of companies again whose copy broke off."""
    run = _run(pk)
    question = {
        "title": f"Copy the rows of {run.companies} again?",
        "lines": [
            f"{run.table_map.name} goes on with its other companies meanwhile. Rows "
            "that are equal already are not written again."
        ],
        "word": "Copy again",
        "icon": "replay",
    }
    return _ask(
        request,
        run,
        question,
        lambda: left_out.again(run, user=request.user),
        f"The rows of {run.companies} are copied again.",
        check=lambda: left_out.refuse_unless_broken_off(run),
    )


@needs(Right.RUN, of=InitialSyncRun)
@ASKING
def run_skip(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask, then take companies live without their rows."""
    run = _run(pk)
    question = {
        "title": f"Go live without the rows of {run.companies}?",
        "lines": [
            f"{run.table_map.name} carries over changes of {run.companies} from now "
            "on. Rows that exist already stay different until they change; compare "
            "the map to find them."
        ],
        "word": "Skip the copy",
        "icon": "skip_next",
    }
    return _ask(
        request,
        run,
        question,
        lambda: left_out.skip(run, user=request.user),
        f"{run.companies}: changes are carried over from now on.",
        check=lambda: left_out.refuse_unless_broken_off(run),
    )


@needs(Right.SEE, of=InitialSyncRun)
@require_safe
def run_errors(request: HttpRequest, pk: int) -> HttpResponse:
    """The records that failed in a run, as CSV with the rows they came from."""
    run = _run(pk)

    def lines() -> Iterator[list[Any]]:
        for error in errors_of(run).visible_to(request.user).iterator(chunk_size=2000):
            yield _line(error)

    return csv_download(f"run-{run.pk}-errors.csv", CSV_COLUMNS, lines())


def _line(error: SyncError) -> list[Any]:
    return [
        error.pk,
        error.direction,
        error.key_text,
        error.code,
        error.column,
        error.message,
        error.remote,
        error.state,
        error.count,
        error.first_seen.isoformat(),
        error.last_seen.isoformat(),
        json.dumps(error.source_row, ensure_ascii=False),
    ]
