"""The conflict log, one conflict, choosing a side, and download."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from django.contrib import messages
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from portal.access import needs
from portal.accounts.roles import Right
from portal.conflicts import queries, services
from portal.conflicts.queries import ConflictFilter
from portal.conflicts.services import ConflictChanged
from portal.errors.models import Conflict
from portal.labels import SIDES
from portal.maps.models import TableMap
from portal.pages import (
    chosen_ids,
    csv_download,
    keyset_page,
    page,
    safe_next,
)
from portal.refusals import Refusal
from syncengine.mapping.model import Side

CSV_COLUMNS = (
    "id",
    "map",
    "key",
    "column",
    "state",
    "policy",
    "winner",
    "side",
    "base",
    "finops",
    "dataverse",
    "reason",
    "created_at",
    "decided_at",
    "decided_by",
)


@needs(Right.SEE, picked={"map": TableMap})
@require_safe
def conflict_list(request: HttpRequest) -> HttpResponse:
    """Conflicts that match the filter, newest first."""
    filters = ConflictFilter.read(request.GET, request.user)
    return page(
        request,
        "portal/conflict_list.html",
        {
            "filters": filters,
            "query": filters.query,
            "page": keyset_page(queries.conflict_list(filters), request),
            "choices": queries.choices(filters),
            "undecided": queries.undecided_count(request.user),
        },
        title="Conflicts",
    )


@needs(Right.SEE, of=Conflict)
@require_safe
def conflict_page(request: HttpRequest, conflict_id: int) -> HttpResponse:
    """One conflict with both versions of the row."""
    return _page(request, _conflict(conflict_id))


def _page(
    request: HttpRequest,
    conflict: Conflict,
    *,
    changed: ConflictChanged | None = None,
    refused: Refusal | None = None,
    side: str = "",
) -> HttpResponse:
    present: dict[str, Any] = {}
    if changed is not None:
        present = {one.value: changed.present[one] for one in Side}
    return page(
        request,
        "portal/conflict_page.html",
        {
            "conflict": conflict,
            "lines": queries.lines(conflict),
            "sides": services.sides_to_use(conflict),
            "in_force": services.in_force(conflict),
            "changed": changed,
            "present": present,
            "seen": json.dumps(present),
            "refused": refused,
            "side": side,
        },
        title=f"Conflict {conflict.pk}",
        status=409 if changed or refused else 200,
    )


@needs(Right.MEND, of=Conflict)
@require_POST
def use(request: HttpRequest, conflict_id: int) -> HttpResponse:
    """Give both sides one side's version; asks first unless already confirmed."""
    conflict = _conflict(conflict_id)
    side = _side(request.POST)
    if request.POST.get("confirmed") != "yes":
        return page(
            request,
            "portal/conflict_use.html",
            {
                "conflict": conflict,
                "side": side.value,
                "lines": [one for one in queries.lines(conflict) if one.contested],
                "gone": getattr(conflict, f"{side.value}_row") is None,
                "next": reverse("conflict_page", args=[conflict.pk]),
            },
            title="Use one side's version",
        )
    try:
        services.use_side(conflict, side, user=_user(request), seen=_seen(request.POST))
    except ConflictChanged as changed:
        return _page(request, conflict, changed=changed, side=side.value)
    except Refusal as refused:
        return _page(request, conflict, refused=refused, side=side.value)
    messages.success(request, f"Both sides now have {SIDES[side.value]}'s version.")
    return redirect("conflict_page", conflict.pk)


@needs(Right.MEND, picked={"conflict": Conflict, "map": TableMap})
@require_POST
def use_many(request: HttpRequest) -> HttpResponse:
    """Have one side's version used for the ticked conflicts, or for all that match the
    filter; asks first unless already confirmed."""
    chosen, all_matching = _chosen(request)
    back = safe_next(request, reverse("conflict_list"))
    side = _side(request.POST)
    chosen = chosen.filter(state__in=services.DECIDABLE, finops_key__isnull=False)
    if request.POST.get("confirmed") == "yes":
        number = services.ask_for(chosen, side, user=_user(request))
        messages.success(
            request,
            f"{SIDES[side.value]}'s version is being written for {number:,} "
            f"conflict{'' if number == 1 else 's'}. Those whose record was changed "
            "since say so in the list.",
        )
        return redirect(back)
    number = chosen.count()
    if not number:
        messages.warning(request, "Choose at least one conflict that can be decided.")
        return redirect(back)
    return page(
        request,
        "portal/conflict_use_many.html",
        {
            "number": number,
            "side": side.value,
            "ids": [] if all_matching else chosen.values_list("pk", flat=True),
            "pairs": ConflictFilter.read(request.POST).pairs if all_matching else [],
            "all_matching": all_matching,
            "sample": chosen.select_related("table_map").order_by("-id")[:5],
            "next": back,
        },
        title="Use one side's version",
    )


@needs(Right.SEE, picked={"map": TableMap})
@require_safe
def export(request: HttpRequest) -> HttpResponse:
    """The conflicts that match the filter as CSV."""
    filters = ConflictFilter.read(request.GET, request.user)
    rows = queries.matching(filters).select_related("table_map", "decided_by")

    def lines() -> Iterator[list[Any]]:
        for one in rows.order_by("-id").iterator(chunk_size=2000):
            versions = queries.document(one)
            yield [
                one.pk,
                one.table_map.name,
                one.key_text,
                one.column,
                one.state,
                one.policy,
                one.winner,
                one.side,
                one.base,
                json.dumps(versions["finops"], ensure_ascii=False),
                json.dumps(versions["dataverse"], ensure_ascii=False),
                one.reason,
                one.created_at.isoformat(),
                one.decided_at.isoformat() if one.decided_at else "",
                str(one.decided_by or ""),
            ]

    return csv_download("conflicts.csv", CSV_COLUMNS, lines())


def _conflict(conflict_id: int) -> Conflict:
    found = (
        Conflict.objects.select_related("table_map__version", "decided_by")
        .prefetch_related(
            "table_map__version__key_pairs", "table_map__version__columns"
        )
        .filter(pk=conflict_id)
        .first()
    )
    if found is None:
        raise Http404("This conflict does not exist any more.")
    return found


def _side(values: QueryDict) -> Side:
    try:
        return Side(values.get("side", ""))
    except ValueError as error:
        raise Http404("There is no such side.") from error


def _seen(values: QueryDict) -> dict[Side, dict[str, str | None] | None] | None:
    """The values a person saw before insisting; None without, or if made up."""
    try:
        given = json.loads(values.get("seen", "") or "null")
        return {Side(name): row for name, row in given.items()} if given else None
    except (ValueError, AttributeError):
        return None


def _chosen(request: HttpRequest) -> tuple[QuerySet[Conflict], bool]:
    values = request.POST
    if values.get("scope") == "matching":
        return queries.matching(ConflictFilter.read(values, request.user)), True
    ids = chosen_ids(values.getlist("conflict"))
    return Conflict.objects.visible_to(request.user).filter(pk__in=ids), False


def _user(request: HttpRequest) -> Any:
    return request.user
