"""Maps to and from files, in the browser."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.core import signing
from django.core.files.uploadedfile import UploadedFile
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.text import slugify
from django.views.decorators.http import require_http_methods, require_safe

from portal.access import is_limited, needs
from portal.accounts.roles import Right
from portal.environments.models import ConnectionSet
from portal.maps import configuration, shared_values
from portal.maps.map_files import MapFiles, read_map_files
from portal.maps.models import TableMap
from portal.maps.product_files import Import, import_maps
from portal.pages import chosen_ids, page
from portal.refusals import Refusal
from syncengine.mapping.product_json import (
    beyond_product,
    dump_product_maps,
    summary,
)

UNCHANGED = configuration.Operation.UNCHANGED
LIMIT_MEGABYTES = 8
LIMIT = LIMIT_MEGABYTES * 1024 * 1024
CARRIED = 2_000_000
"""Characters of packed files that the page carries between question and answer."""
SALT = "maps.import"
VALID_SECONDS = 24 * 3600
FORMATS = {
    "yaml": ("yaml", "application/yaml"),
    "dualwrite-json": ("json", "application/json"),
}
Texts = list[tuple[str, str]]


@dataclass(frozen=True)
class PlannedMap:
    """One map of the uploaded files: what becomes of it, and what does not."""

    done: Import
    not_carried: Sequence[str]

    @property
    def operation(self) -> str:
        """`create`, `update` or `unchanged`."""
        return self.done.difference.operation.value


@needs(Right.EDIT_MAPS, picked={"set": ConnectionSet})
@require_http_methods(["GET", "HEAD", "POST"])
def map_import(request: HttpRequest) -> HttpResponse:
    """Take files, show what they would make and change, and do it when confirmed.

    The page itself carries the files from the question to the answer, packed and
    signed for this user; nothing is stored before the answer.
    """
    sets = list(
        ConnectionSet.objects.visible_to(request.user)
        .filter(retired_at=None)
        .order_by("name")
    )
    values = request.POST if request.method == "POST" else request.GET
    ids = chosen_ids([values.get("set", "")])
    target = next((one for one in sets if one.pk in ids), None)
    if target is None and len(sets) == 1:
        target = sets[0]
    context: dict[str, Any] = {
        "sets": sets,
        "target": target,
        "limit": LIMIT_MEGABYTES,
    }
    if request.method != "POST":
        return _form(request, context)
    try:
        if target is None:
            raise Refusal("Choose the connection set that the maps belong to.")
        confirmed = "files" in request.POST
        texts = _carried(request) if confirmed else _uploaded(request)
        files = read_map_files(texts, target.name)
        _refuse_value_maps(request, files)
        done = import_maps(target, files, plan=not confirmed, user=request.user)
        packed = "" if confirmed else _packed(request, texts)
    except Refusal as refused:
        return _form(request, {**context, "refused": refused}, status=409)
    if confirmed:
        messages.success(request, _outcome(done.maps, target))
        return redirect(f"{reverse('map_list')}?{urlencode({'set': target.name})}")
    planned = [PlannedMap(one, summary(one.leftovers)) for one in done.maps]
    counts = [each.operation for each in planned]
    return page(
        request,
        "portal/map_import_plan.html",
        {
            **context,
            "planned": planned,
            "value_maps": [
                one for one in done.value_maps if one.operation is not UNCHANGED
            ],
            "packed": packed,
            "created": counts.count("create"),
            "updated": counts.count("update"),
            "unchanged": counts.count("unchanged"),
        },
        title="Import maps",
    )


def _form(
    request: HttpRequest, context: dict[str, Any], status: int = 200
) -> HttpResponse:
    return page(
        request,
        "portal/map_import.html",
        context,
        title="Import maps",
        status=status,
    )


def _uploaded(request: HttpRequest) -> Texts:
    files = request.FILES.getlist("upload")
    if not files:
        raise Refusal("Choose at least one file.")
    if sum(file.size or 0 for file in files) > LIMIT:
        raise Refusal(
            f"The files have more than {LIMIT_MEGABYTES} MB together: import them in "
            "parts, or with 'dw import'.",
            code="file_too_large",
        )
    return [_text(file) for file in files]


def _text(file: UploadedFile) -> tuple[str, str]:
    name = file.name or "file"
    try:
        return name, file.read().decode("utf-8")
    except UnicodeDecodeError as error:
        raise Refusal(f"{name} is not UTF-8 text.", code="file_unreadable") from error


def _refuse_value_maps(request: HttpRequest, files: MapFiles) -> None:
    """Shared value maps belong to the whole portal."""
    stored = shared_values.pairs_of(one.name for one in files.value_maps)
    changed = [
        one.name for one in files.value_maps if stored.get(one.name) != one.values
    ]
    if changed and is_limited(request.user):
        raise Refusal(
            f"The files change shared value maps ({', '.join(changed)}), which belong "
            "to the whole portal, and you are limited to a part of it.",
            code="forbidden",
        )


def _packed(request: HttpRequest, texts: Texts) -> str:
    packed = signing.dumps([request.user.pk, texts], salt=SALT, compress=True)
    if len(packed) > CARRIED:
        raise Refusal(
            "The files are too large for a page: import them in parts, or with 'dw "
            "import'.",
            code="file_too_large",
        )
    return packed


def _carried(request: HttpRequest) -> Texts:
    try:
        user, texts = signing.loads(
            request.POST["files"], salt=SALT, max_age=VALID_SECONDS
        )
    except signing.BadSignature:
        user, texts = None, []
    if user != request.user.pk:
        raise Refusal(
            "This question is too old or not yours: choose the files again.",
            code="question_expired",
        )
    return [(name, text) for name, text in texts]


def _outcome(done: Sequence[Import], target: ConnectionSet) -> str:
    counts = [one.difference.operation.value for one in done]
    told = [
        f"{counts.count(operation)} {word}"
        for operation, word in (
            ("create", "added"),
            ("update", "got another version"),
            ("unchanged", "unchanged"),
        )
        if operation in counts
    ]
    return f"Maps of {target.name}: {', '.join(told)}. Nothing runs yet."


@needs(Right.SEE, picked={"map": TableMap})
@require_safe
def map_export(request: HttpRequest) -> HttpResponse:
    """What can be downloaded of the chosen maps (or of all), and what the original
    product would not take over from it."""
    maps = _chosen(request)
    definitions = [
        entry.table_map for entry in configuration.stored_document(maps).maps
    ]
    lost = [(each.name, summary(beyond_product(each))) for each in definitions]
    one = maps[0] if maps and len(maps) == 1 else None
    ids = request.GET.getlist("map")
    connection_set = "" if ids else request.GET.get("set", "")
    what = "maps"
    if one or connection_set:
        what = one.name if one else f"maps of {connection_set}"
    named = {"set": connection_set} if connection_set else {"map": ids}
    return page(
        request,
        "portal/map_export.html",
        {
            "one": one,
            "connection_set": connection_set,
            "count": len(definitions),
            "lost": [(name, lines) for name, lines in lost if lines],
            "query": urlencode(named, doseq=True),
            "back": reverse("map_tab", args=[one.pk, "versions"])
            if one
            else reverse("map_list"),
        },
        title=f"Export {what}",
    )


@needs(Right.SEE, picked={"map": TableMap})
@require_safe
def map_download(request: HttpRequest) -> HttpResponse:
    """The chosen maps (or all) as one file."""
    maps = _chosen(request)
    wanted = request.GET.get("format", "yaml")
    if wanted not in FORMATS:
        raise Http404("There is no such format.")
    ending, content_type = FORMATS[wanted]
    if wanted == "yaml":
        text = configuration.export_document(maps)
    else:
        document = configuration.stored_document(maps)
        text = dump_product_maps([entry.table_map for entry in document.maps])
    name = slugify(maps[0].name) if maps and len(maps) == 1 else "maps"
    return HttpResponse(
        text,
        content_type=f"{content_type}; charset=utf-8",
        headers={
            "Content-Disposition": f'attachment; filename="{name or "map"}.{ending}"'
        },
    )


def _chosen(request: HttpRequest) -> list[TableMap] | None:
    """The maps the address names, by themselves or by their connection set; None
    where it names none, which means all."""
    maps = TableMap.objects.visible_to(request.user).order_by(
        "connection_set__name", "run_order", "name"
    )
    if "map" in request.GET:
        maps = maps.filter(pk__in=chosen_ids(request.GET.getlist("map")))
    elif name := request.GET.get("set", ""):
        maps = maps.filter(connection_set__name=name)
    elif is_limited(request.user):
        return list(maps)
    else:
        return None
    if not maps:
        raise Http404("There is no such map any more.")
    return list(maps)
