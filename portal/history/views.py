"""One record: everything that happened to it, and where its fields are from."""

from __future__ import annotations

from django.contrib import messages
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from portal.access import may, needs
from portal.accounts.roles import Right
from portal.accounts.scope import scope_of, sees_key
from portal.history import asking, keeping, origins, timeline
from portal.maps.models import TableMap
from portal.pages import chosen_ids, page, safe_next


def _map(request: HttpRequest) -> TableMap | None:
    """The map the address names, if any."""
    ids = chosen_ids([request.GET.get("map", "")])
    return TableMap.objects.filter(pk__in=ids).first() if ids else None


def _sees(request: HttpRequest, chosen: TableMap | None) -> bool:
    """Whether the key asked for is of a company that the user may see."""
    of_set = chosen.connection_set_id if chosen else None
    return sees_key(scope_of(request.user), request.GET.get("key", ""), of_set)


@needs(Right.SEE, picked={"map": TableMap})
@require_safe
def record_page(request: HttpRequest) -> HttpResponse:
    """Search a key, and what is known of the record in order."""
    chosen = _map(request)
    seen = _sees(request, chosen)
    text = request.GET.get("key", "").strip()
    found = timeline.timeline(text if seen else "", table_map=chosen, user=request.user)
    maps = TableMap.objects.visible_to(request.user).order_by("name")
    return page(
        request,
        "portal/record_page.html",
        {
            "found": found,
            "beyond": "" if seen else text,
            "chosen": chosen,
            "maps": list(maps.values_list("pk", "name")),
            "kept": list(maps.select_related("connection_set")),
            "may_switch": may(request, Right.EDIT_MAPS),
        },
        title="Records",
    )


@needs(Right.SEE, picked={"map": TableMap})
@require_safe
def record_fields(request: HttpRequest) -> HttpResponse:
    """Where the fields of a record of one map are from; reads both sides."""
    chosen, key = _map(request), request.GET.get("key", "").strip()
    if chosen is None or not key or not _sees(request, chosen):
        raise Http404("There is no such map.")
    found = origins.fields(chosen, key, user=request.user)
    return render(request, "portal/_record_fields.html", {"found": found})


@needs(Right.SEE)
@require_safe
def record_asked(request: HttpRequest) -> HttpResponse:
    """Which maps have a record of this key now; reads both sides of each."""
    key = request.GET.get("key", "").strip()
    if not key or not _sees(request, None):
        raise Http404("There is no such key.")
    found = asking.ask(key, user=request.user)
    return render(request, "portal/_record_asked.html", {"asked": found})


@needs(Right.EDIT_MAPS, picked={"map": TableMap})
@require_POST
def history_switch(request: HttpRequest) -> HttpResponse:
    """Keep the history of the ticked maps and of no other."""
    ids = chosen_ids(request.POST.getlist("map"))
    maps = TableMap.objects.visible_to(request.user).select_related("connection_set")
    number = _switch(maps.filter(pk__in=ids), request, on=True)
    number += _switch(maps.exclude(pk__in=ids), request, on=False)
    if number:
        messages.success(
            request, f"Changed for {number} map{'' if number == 1 else 's'}."
        )
    else:
        messages.info(request, "Nothing was changed.")
    return redirect(safe_next(request, reverse("record_page")))


def _switch(maps: QuerySet[TableMap], request: HttpRequest, *, on: bool) -> int:
    return keeping.switch(maps, on=on, user=request.user)  # type: ignore[arg-type]
