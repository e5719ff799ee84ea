"""Going to another version of a map."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from portal.access import needs
from portal.accounts.roles import Right
from portal.maps.conversion import to_engine
from portal.maps.models import MapVersion, TableMap
from portal.maps.shown_changes import shown
from portal.maps.versions import use_version, why_fixed
from portal.pages import page
from portal.refusals import Refusal
from syncengine.mapping.comparison import compare_maps


@needs(Right.EDIT_MAPS, of=TableMap)
@require_http_methods(["GET", "HEAD", "POST"])
def use(request: HttpRequest, map_id: int, pk: int) -> HttpResponse:
    """Show what would change, then make a version the current one."""
    version = get_object_or_404(
        MapVersion.objects.select_related(
            "table_map__connection_set", "table_map__version__table_map"
        ),
        pk=pk,
        table_map=map_id,
    )
    table_map = version.table_map
    present = table_map.version
    back = reverse("map_tab", args=[map_id, "versions"])
    refused: Refusal | None = None
    if request.method == "POST":
        try:
            changed = use_version(table_map, version, user=request.user)
        except Refusal as caught:
            refused = caught
        else:
            done = "is at" if changed else "was already at"
            messages.success(request, f"{table_map.name} {done} version {version}.")
            return redirect(back)
    comparison = None
    if present is not None and present.pk != version.pk:
        comparison = shown(compare_maps(to_engine(present), to_engine(version)))
    return page(
        request,
        "portal/version_use.html",
        {
            "map": table_map,
            "version": version,
            "present": present,
            "comparison": comparison,
            "fixed": "" if refused else why_fixed(table_map),
            "refused": refused,
            "back": back,
        },
        title=f"{table_map.name}: use version {version}",
        status=409 if refused else 200,
    )
