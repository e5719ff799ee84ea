"""What every page shares: who may see it, the admin's frame, and keyset paging."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Any

from django.contrib import admin
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.utils.http import url_has_allowed_host_and_scheme

View = Callable[..., HttpResponse]

PAGE_SIZE = 50
COUNT_LIMIT = 10_000


def is_partial(request: HttpRequest) -> bool:
    """True when HTMX asks for a piece of the page."""
    return request.headers.get("HX-Request") == "true"


def staff_page(view: View) -> View:
    """Let in signed-in staff only, whatever their role: for views that have not said
    yet which right they need. Use `portal.access.needs`; a test demands it."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        user = request.user
        if not user.is_authenticated:
            if is_partial(request):
                return HttpResponse(status=204, headers={"HX-Refresh": "true"})
            return redirect_to_login(request.get_full_path())
        if not (user.is_active and user.is_staff):
            raise PermissionDenied
        return view(request, *args, **kwargs)

    return guarded


def page(
    request: HttpRequest,
    template: str,
    context: dict[str, Any],
    *,
    title: str,
    status: int = 200,
) -> HttpResponse:
    """Render a page inside the admin's frame: same sidebar, header and theme."""
    frame = admin.site.each_context(request)
    return render(
        request, template, {**frame, "title": title, **context}, status=status
    )


@dataclass(frozen=True)
class KeysetPage:
    """One page of a long list. `older` and `newer` are query values of the pages
    beside it, empty at the ends. `total` is exact up to the limit."""

    rows: Sequence[Any]
    older: str
    newer: str
    total: int
    more_than_total: bool


def sharing(rows: QuerySet[Any], column: str, value: Any) -> QuerySet[Any]:
    """The rows with this value, as a range of one: told of equality, the planner may
    go by id alone and pass millions of newer rows that have other values."""
    return rows.filter(**{f"{column}__gte": value, f"{column}__lte": value})


def keyset_page(
    rows: QuerySet[Any],
    request: HttpRequest,
    *,
    size: int = PAGE_SIZE,
    total: int | None = None,
    shared: str = "",
    limit: int = COUNT_LIMIT,
) -> KeysetPage:
    """Newest first by id, from `?before=` or `?after=`: as quick on page 1,000 as on
    page 1, and a row that arrives meanwhile moves nothing. `total` is the number of
    rows where it is known; else they are counted, up to the limit. `shared` is the
    column of `sharing`, which an index has before the id. An old address behind which
    nothing is left gives the newest."""
    before = _whole(request.GET.get("before"))
    after = _whole(request.GET.get("after"))
    shown, has_newer, has_older = _window(rows, before, after, size, shared)
    if not shown and (before, after) != (None, None):
        shown, has_newer, has_older = _window(rows, None, None, size, shared)
    if total is None:
        total = rows.order_by()[: limit + 1].count()
    else:
        limit = total
    return KeysetPage(
        rows=shown,
        older=f"before={shown[-1].pk}" if shown and has_older else "",
        newer=f"after={shown[0].pk}" if shown and has_newer else "",
        total=min(total, limit),
        more_than_total=total > limit,
    )


def _window(
    rows: QuerySet[Any], before: int | None, after: int | None, size: int, shared: str
) -> tuple[list[Any], bool, bool]:
    """The rows of a page, and whether there are newer and older ones."""
    forth, back = ([f"-{shared}"], [shared]) if shared else ([], [])
    if after is not None:
        found = list(rows.filter(id__gt=after).order_by(*forth, "id")[: size + 1])
        return found[:size][::-1], len(found) > size, True
    part = rows if before is None else rows.filter(id__lt=before)
    found = list(part.order_by(*back, "-id")[: size + 1])
    return found[:size], before is not None, len(found) > size


def _whole(text: str | None) -> int | None:
    if text is None or not text.isdecimal() or len(text) > 18:
        return None
    return int(text)


def chosen_ids(values: Iterable[str]) -> list[int]:
    """Ids from a form; anything that is no id is left out."""
    ids = [_whole(value) for value in values]
    return [value for value in ids if value is not None]


class _Echo:
    def write(self, value: str) -> str:
        return value


def csv_download(
    name: str, header: Sequence[str], rows: Iterable[Sequence[Any]]
) -> StreamingHttpResponse:
    """Stream rows as CSV; a cell that a spreadsheet would run as a formula is
    marked as text."""
    writer = csv.writer(_Echo())

    def lines() -> Iterator[str]:
        yield writer.writerow(header)
        for row in rows:
            yield writer.writerow([_plain(value) for value in row])

    return StreamingHttpResponse(
        lines(),
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


def _plain(value: Any) -> str:
    text = "" if value is None else str(value)
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


def safe_next(request: HttpRequest, fallback: str) -> str:
    """Where to go after an action: `next` when it is an address of ours."""
    wanted = request.POST.get("next") or request.GET.get("next") or ""
    if url_has_allowed_host_and_scheme(
        wanted, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    ):
        return wanted
    return fallback
