"""The wizard: the drafts, and one page for each step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import (
    require_http_methods,
    require_POST,
    require_safe,
)

from portal.pages import page
from portal.refusals import Refusal
from portal.setup import checking, choosing, drafts, environment_step, stamping
from portal.setup.access import setup_page
from portal.setup.models import DraftState, SetupDraft, Situation
from portal.setup.needs import stages, tree
from portal.setup.situations import PLANS, tasks
from portal.setup.steps import (
    ORDER,
    STEPS,
    beside,
    missing,
    progress_of,
    reachable,
    shown_steps,
)
from portal.setup.summary import summary_of
from syncengine.catalog import CatalogError
from syncengine.mapping.model import Side

FORM = require_http_methods(["GET", "HEAD", "POST"])
OVER = (DraftState.CREATING, DraftState.FAILED)


@setup_page
@require_safe
def setup_list(request: HttpRequest) -> HttpResponse:
    """Drafts to go on with, and how to begin."""
    shown = list(
        SetupDraft.objects.exclude(state=DraftState.DONE).select_related(
            "finops", "dataverse", "created_by"
        )
    )
    return page(
        request,
        "portal/setup_list.html",
        {
            "drafts": [(one, STEPS.get(one.step, "")) for one in shown],
            "situations": [
                (value, label, PLANS[Situation(value)].text)
                for value, label in Situation.choices
            ],
        },
        title="Set up a link",
    )


@setup_page
@require_POST
def setup_begin(request: HttpRequest) -> HttpResponse:
    """Begin a draft."""
    draft = drafts.begin(user=request.user)  # type: ignore[arg-type]
    return redirect("setup_step", pk=draft.pk, step=ORDER[0])


def find_draft(pk: int) -> SetupDraft:
    """The draft with both environments; their connection strings are read when used."""
    return get_object_or_404(
        SetupDraft.objects.select_related("finops", "dataverse").defer(
            "finops__dsn", "dataverse__dsn"
        ),
        pk=pk,
    )


@setup_page
@never_cache
@FORM
def setup_step(request: HttpRequest, pk: int, step: str) -> HttpResponse:
    """Show a step; or take in what was filled in and go on, back, or stay."""
    if step not in STEPS:
        raise Http404("There is no such step.")
    draft = find_draft(pk)
    if draft.state in OVER or draft.state == DraftState.DONE:
        return redirect("setup_progress", pk=pk)
    needed = missing(draft, step)
    if needed:
        messages.info(request, f"First: {STEPS[needed]}.")
        return redirect("setup_step", pk=pk, step=needed)
    refused: Refusal | None = None
    extra: dict[str, Any] = {}
    if request.method == "POST":
        try:
            extra = SAVES.get(step, _nothing)(request, draft) or {}
        except Refusal as caught:
            refused = caught
        if refused is None and not extra:
            return redirect("setup_step", pk=pk, step=_where_to(request, step))
        if request.POST.get("go") == "back":
            # What cannot be kept keeps nobody from looking back.
            return redirect("setup_step", pk=pk, step=beside(step, -1))
    drafts.reached(draft, step)
    try:
        context = SHOWS[step](request, draft)
    except Refusal as caught:
        refused, context = refused or caught, {"unreadable": True}
    wrong = refused is not None and request.method == "POST"
    return page(
        request,
        f"portal/setup_{PAGES.get(step, step)}.html",
        {
            "draft": draft,
            "step": step,
            "steps": shown_steps(draft, step),
            "reachable": reachable(draft),
            "number": ORDER.index(step) + 1,
            "back_step": beside(step, -1) if step != ORDER[0] else "",
            "tasks": tasks(Situation(draft.situation), progress_of(draft)),
            "refused": refused,
            **context,
            **extra,
        },
        title=f"Set up {draft.name}: {STEPS[step]}",
        status=409 if wrong else 400 if extra else 200,
    )


def _where_to(request: HttpRequest, step: str) -> str:
    wanted = request.POST.get("go", "next")
    if wanted in STEPS:
        return wanted
    return {"back": beside(step, -1), "stay": step}.get(wanted, beside(step, 1))


# What is taken in. A step that gives something is shown again with it.

Save = Callable[[HttpRequest, SetupDraft], dict[str, Any] | None]


def _nothing(request: HttpRequest, draft: SetupDraft) -> None:
    return None


def _save_start(request: HttpRequest, draft: SetupDraft) -> None:
    drafts.settle_start(
        draft,
        name=request.POST.get("name", ""),
        situation=request.POST.get("situation", ""),
    )


def _save_companies(request: HttpRequest, draft: SetupDraft) -> None:
    values = request.POST
    pairs = dict(
        zip(values.getlist("finops"), values.getlist("dataverse"), strict=False)
    )
    chosen = [code for code in values.getlist("chosen") if code in pairs]
    added = values.get("new_finops", "").strip()
    if added:
        pairs[added] = values.get("new_dataverse", "").strip()
        chosen.append(added)
    drafts.settle_companies(draft, pairs, list(dict.fromkeys(chosen)))


def _save_maps(request: HttpRequest, draft: SetupDraft) -> None:
    names = request.POST.getlist("name")
    schemas = choosing.read_tables(draft)
    if request.POST.get("related") == "on":
        names = choosing.with_needed(names, schemas)
    drafts.choose_maps(draft, names)


def _save_order(request: HttpRequest, draft: SetupDraft) -> None:
    order = request.POST.getlist("plan")
    masters = {
        name: request.POST.get(f"master_{place}", "")
        for place, name in zip(request.POST.getlist("place"), order, strict=False)
    }
    drafts.settle_order(draft, order, request.POST.getlist("copy"), masters)


SAVES: Mapping[str, Save] = {
    "start": _save_start,
    "finops": lambda request, draft: environment_step.save(request, draft, Side.FINOPS),
    "dataverse": lambda request, draft: environment_step.save(
        request, draft, Side.DATAVERSE
    ),
    "companies": _save_companies,
    "maps": _save_maps,
    "order": _save_order,
}


# What is shown

Show = Callable[[HttpRequest, SetupDraft], dict[str, Any]]


def _show_start(request: HttpRequest, draft: SetupDraft) -> dict[str, Any]:
    return {
        "situations": [
            (value, label, PLANS[Situation(value)].text)
            for value, label in Situation.choices
        ],
        "name": request.POST.get("name", draft.name),
        "situation": request.POST.get("situation", draft.situation),
    }


def _show_companies(request: HttpRequest, draft: SetupDraft) -> dict[str, Any]:
    finops, dataverse = drafts.match_companies(draft)
    rows = [
        {
            "finops": one.finops_code,
            "dataverse": one.dataverse_code,
            "chosen": one.chosen,
            "gone": one.finops_code not in finops,
            "strange": bool(one.dataverse_code) and one.dataverse_code not in dataverse,
        }
        for one in draft.companies.all()
    ]
    if request.method == "POST":
        sent = dict(
            zip(
                request.POST.getlist("finops"),
                request.POST.getlist("dataverse"),
                strict=False,
            )
        )
        chosen = set(request.POST.getlist("chosen"))
        for row in rows:
            code = row["finops"]
            row["dataverse"] = sent.get(str(code), row["dataverse"])
            row["chosen"] = code in chosen
    matched = {row["dataverse"] for row in rows}
    return {
        "rows": rows,
        "choices": dataverse,
        "alone": [code for code in dataverse if code not in matched],
        "plan": PLANS[Situation(draft.situation)],
    }


def _show_maps(request: HttpRequest, draft: SetupDraft) -> dict[str, Any]:
    packages = choosing.offered(draft, choosing.read_tables(draft))
    return {
        "packages": [one for one in packages if one.fitting],
        "unfit": [one for one in packages if not one.fitting],
        "fitting": sum(one.fitting for one in packages),
        "whole": sum(len(one.maps) for one in packages),
        "chosen": draft.maps.count(),
    }


def _show_order(request: HttpRequest, draft: SetupDraft) -> dict[str, Any]:
    planned = choosing.planned(draft)
    return {
        "planned": planned,
        "stages": stages([one.name for one in planned]),
        "plan": PLANS[Situation(draft.situation)],
    }


def _show_check(request: HttpRequest, draft: SetupDraft) -> dict[str, Any]:
    return checked_context(draft)


def checked_context(draft: SetupDraft) -> dict[str, Any]:
    """What the last check found, by map."""
    by_map: dict[str, list[Any]] = {}
    for name, finding in draft.shown_findings():
        by_map.setdefault(name, []).append(finding)
    systems = by_map.pop("", [])
    return {
        "systems": systems,
        "by_map": by_map.items(),
        "maps": draft.maps.count(),
        "clean": draft.maps.count() - len(by_map),
        "homeless": stamping.waiting(draft),
        "codes": stamping.codes(draft),
        "stamping": stamping.active(draft),
    }


def _show_summary(request: HttpRequest, draft: SetupDraft) -> dict[str, Any]:
    return {"summary": summary_of(draft)}


SHOWS: Mapping[str, Show] = {
    "start": _show_start,
    "finops": lambda request, draft: environment_step.show(request, draft, Side.FINOPS),
    "dataverse": lambda request, draft: environment_step.show(
        request, draft, Side.DATAVERSE
    ),
    "companies": _show_companies,
    "maps": _show_maps,
    "order": _show_order,
    "check": _show_check,
    "summary": _show_summary,
}
PAGES = {"finops": "environment", "dataverse": "environment"}


@setup_page
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def setup_test(request: HttpRequest, pk: int, side: str) -> HttpResponse:
    """Test the chosen environment, or (posted) the one that was filled in, item by
    item; that one is kept if that was asked for and it can be linked."""
    if side not in list(Side):
        raise Http404("There is no such side.")
    draft = find_draft(pk)
    try:
        context = environment_step.tested(request, draft, Side(side))
    except Refusal as refused:
        return render(request, "portal/_refused.html", {"refused": refused})
    if "go" in context:
        return HttpResponse(status=204, headers={"HX-Redirect": context["go"]})
    return render(
        request, "portal/_setup_test.html", {"draft": draft, "side": side, **context}
    )


@setup_page
@require_safe
def setup_needs(request: HttpRequest) -> HttpResponse:
    """What a ready-made map needs, as a tree."""
    try:
        found = tree(request.GET.get("map", ""))
    except CatalogError as error:
        raise Http404(str(error)) from error
    return render(request, "portal/_setup_needs.html", {"found": found})


@setup_page
@require_POST
def setup_check(request: HttpRequest, pk: int) -> HttpResponse:
    """Check now; the piece of the page that says what was found, or the page."""
    draft = find_draft(pk)
    if draft.state != DraftState.EDITING or not draft.both:
        return redirect(reverse("setup_step", args=[pk, "check"]))
    checking.check(draft)
    if request.headers.get("HX-Request") != "true":
        return redirect("setup_step", pk=pk, step="check")
    return render(
        request,
        "portal/_setup_checked.html",
        {
            "draft": draft,
            "fresh": True,
            "step": "check",
            "steps": shown_steps(draft, "check"),
            "reachable": reachable(draft),
            "tasks": tasks(Situation(draft.situation), progress_of(draft)),
            **checked_context(draft),
        },
    )
