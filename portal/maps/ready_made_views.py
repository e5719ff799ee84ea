"""The ready-made maps: the list, one of them, and installing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.http import require_http_methods, require_safe

from portal.access import may, needs
from portal.accounts.roles import Right
from portal.environments.models import ConnectionSet
from portal.maps import ready_made_list
from portal.maps.models import ColumnMapTypeChoices
from portal.maps.ready_made import (
    address_name,
    find_by_address,
    install,
    installed,
    plan,
)
from portal.pages import chosen_ids, page
from portal.refusals import Refusal
from syncengine import catalog
from syncengine.mapping.model import ColumnMap

FEW_PAIRS = 4
"""A longer value map is folded up."""


@needs(Right.SEE)
@require_safe
def ready_made_list_page(request: HttpRequest) -> HttpResponse:
    """All ready-made maps that fit."""
    filters = ready_made_list.CatalogFilter.read(request.GET)
    groups = ready_made_list.groups(filters, request.user)
    return page(
        request,
        "portal/ready_made_list.html",
        {
            "filters": filters,
            "groups": groups,
            "count": sum(len(group.rows) for group in groups),
            "packages": catalog.packages(),
            "concepts": catalog.concepts(),
            "directions": ready_made_list.DIRECTIONS.items(),
            "installed_choices": ready_made_list.INSTALLED.items(),
            "group_choices": ready_made_list.GROUPS.items(),
            "may_install": may(request, Right.EDIT_MAPS),
        },
        title="Ready-made maps",
    )


@dataclass(frozen=True)
class Link:
    """A ready-made map to go to. `direct` when the map itself refers to it."""

    name: str
    address: str
    direct: bool = True


@dataclass(frozen=True)
class Line:
    """One column map of a ready-made map. `table` is where its reference leads."""

    line: ColumnMap
    symbol: str
    key: bool
    folded: bool
    table: str
    correction: catalog.Correction | None


@needs(Right.SEE)
@require_safe
def ready_made_page(request: HttpRequest, name: str) -> HttpResponse:
    """One ready-made map whole."""
    entry = find_by_address(name)
    if entry is None:
        raise Http404("There is no such ready-made map.")
    needed = catalog.with_prerequisites([entry])
    return page(
        request,
        "portal/ready_made_page.html",
        {
            "entry": entry,
            "lines": _lines(entry),
            "corrections": {each.place: each for each in entry.corrections},
            "direction": ready_made_list.DIRECTIONS[entry.direction],
            "maps": installed(request.user).get(entry.name, ()),
            "needs": [
                Link(each.name, address_name(each), each.name in entry.related)
                for each in needed
                if each.name != entry.name
            ],
            "needed_by": [
                Link(each.name, address_name(each))
                for each in catalog.needed_by(entry)
                if each.name != entry.name
            ],
            "may_install": may(request, Right.EDIT_MAPS),
        },
        title=entry.name,
    )


def _lines(entry: catalog.CatalogEntry) -> list[Line]:
    keys = {(pair.finops, pair.dataverse) for pair in entry.key}
    corrected = {each.place: each for each in entry.corrections}
    leads = dict(entry.lookups)
    return [
        Line(
            line=line,
            symbol=ColumnMapTypeChoices(line.type.value).label,
            key=(line.finops, line.dataverse) in keys,
            folded=len(line.values or ()) > FEW_PAIRS,
            table=leads.get((line.dataverse or "").partition(".")[0], ""),
            correction=corrected.get(
                f"columns {line.finops or 'none'} {line.dataverse or 'none'}"
            ),
        )
        for line in entry.columns
    ]


@needs(Right.EDIT_MAPS, picked={"set": ConnectionSet})
@require_http_methods(["GET", "HEAD", "POST"])
def ready_made_install(request: HttpRequest) -> HttpResponse:
    """Ask where and show what will be added; then add it."""
    values = request.POST if request.method == "POST" else request.GET
    names = [name for name in values.getlist("name") if name.strip()]
    if not names:
        messages.warning(request, "Choose a ready-made map or a package to install.")
        return redirect("ready_made_list")
    sets = list(
        ConnectionSet.objects.visible_to(request.user)
        .filter(retired_at=None)
        .order_by("name")
    )
    target = _target(sets, values.get("set", ""))
    refused: Refusal | None = None
    if request.method == "POST" and target is not None:
        try:
            done = install(target, names, user=request.user)
        except Refusal as caught:
            refused = caught
        except catalog.CatalogError as error:
            raise Http404(error.message) from error
        else:
            messages.success(request, _outcome(len(done.installed), target))
            return redirect(f"{reverse('map_list')}?{urlencode({'set': target.name})}")
    try:
        steps = plan(target, names) if target else []
        chosen = {entry.name for entry in catalog.select(names)}
    except catalog.CatalogError as error:
        raise Http404(error.message) from error
    return page(
        request,
        "portal/ready_made_install.html",
        {
            "names": names,
            "sets": sets,
            "target": target,
            "new": [
                Link(entry.name, address_name(entry), entry.name in chosen)
                for entry, there in steps
                if there is None
            ],
            "present": [(entry, there) for entry, there in steps if there is not None],
            "refused": refused,
        },
        title=f"Install {names[0]}" if len(names) == 1 else "Install ready-made maps",
        status=409 if refused else 200,
    )


def _target(sets: Sequence[ConnectionSet], wanted: str) -> ConnectionSet | None:
    """The connection set asked for; without a question the only one there is."""
    ids = chosen_ids([wanted])
    chosen = [one for one in sets if one.pk in ids]
    if chosen:
        return chosen[0]
    return sets[0] if len(sets) == 1 else None


def _outcome(count: int, target: ConnectionSet) -> str:
    if not count:
        return f"{target.name} has all of these maps already."
    maps = "1 map was" if count == 1 else f"{count} maps were"
    return f"{maps} added to {target.name}. Nothing runs yet."
