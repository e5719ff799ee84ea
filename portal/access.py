"""Who may open a page: each view says once which right it needs.

    @needs(Right.SEE)                                   a page or list
    @needs(Right.SEE, of=TableMap)                      a page of one row
    @needs(Right.SEE, post=Right.RUN, of=TableMap)      another right to send its form
    @needs(Right.RUN, picked={"map": TableMap})         rows named in form or query

`of` is the model of the first id in the address: a user who is limited to some
connection sets gets 404 for rows of others. `picked` does the same for ids in fields.
A view that needs no right says why with `open_to`. A test walks all addresses and
demands one of the two.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import wraps
from typing import Any

from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse

from portal.accounts.roles import Right
from portal.accounts.scope import scope_of
from portal.pages import View, chosen_ids, is_partial

READING = ("GET", "HEAD", "OPTIONS")

Decorator = Callable[[View], View]


@dataclass(frozen=True)
class Need:
    """What a view says of itself. Without `right` it is open, for the reason in
    `because`; `signed_in` when at least a user must be known."""

    right: Right | None = None
    post: Right | None = None
    of: type[Model] | None = None
    picked: Mapping[str, type[Model]] = field(default_factory=dict)
    because: str = ""
    signed_in: bool = True
    whole: bool = False
    closed: bool = False
    all_companies: bool = False

    def right_for(self, method: str) -> Right | None:
        """The right that a request of this method needs."""
        if self.post is not None and method not in READING:
            return self.post
        return self.right

    def open_to_limited(self, method: str) -> bool:
        """Whether a request of this method only looks at what all may see."""
        return self.post is not None and method in READING and not self.closed


class RightMissing(PermissionDenied):
    """Refused for want of one right; the page names it and who can give it."""

    def __init__(self, right: Right) -> None:
        super().__init__(f"You may not {right.words}.")
        self.right = right


class BeyondLimits(PermissionDenied):
    """Refused because it concerns the whole portal, and the user sees but a part."""

    def __init__(self) -> None:
        super().__init__(
            "This concerns the whole portal, and your user is limited to a part of it."
        )


class AllCompanies(PermissionDenied):
    """Refused because it shows records of companies that the user may not see."""

    def __init__(self) -> None:
        super().__init__(
            "This shows records of all companies, and your user is limited to some."
        )


def demand_all_companies(request: HttpRequest) -> None:
    """Refuse who is limited to companies: what follows shows any record."""
    if scope_of(request.user).parts:
        raise AllCompanies


def demand(request: HttpRequest, right: Right) -> None:
    """Refuse a user who does not have the right."""
    if not may(request, right):
        raise RightMissing(right)


def may(request: HttpRequest, right: Right, *, whole: bool = False) -> bool:
    """Whether the user of the request has the right; for buttons. `whole` as in
    `needs`."""
    if whole and is_limited(request.user):
        return False
    return bool(request.user.has_perm(right.permission))  # type: ignore[union-attr]


def needs(
    right: Right,
    *,
    post: Right | None = None,
    of: type[Model] | None = None,
    picked: Mapping[str, type[Model]] | None = None,
    whole: bool = False,
    closed: bool = False,
    all_companies: bool = False,
) -> Decorator:
    """Let in who has the right, and who may see the row; see the module. `whole`: what
    it changes concerns the whole portal, so nobody who is limited may send it;
    `closed`: nor open it. `all_companies`: it shows records of all companies of a map.
    """
    return _guard(
        Need(
            right,
            post,
            of,
            picked or {},
            whole=whole or closed,
            closed=closed,
            all_companies=all_companies,
        )
    )


def open_to(because: str, *, signed_in: bool = True) -> Decorator:
    """No right is needed, for a reason; `signed_in` sends visitors to sign in."""
    return _guard(Need(because=because, signed_in=signed_in))


def _guard(need: Need) -> Decorator:
    def decorate(view: View) -> View:
        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            if need.signed_in and not request.user.is_authenticated:
                return to_sign_in(request)
            right = need.right_for(request.method or "GET")
            if right is not None:
                demand(request, right)
                _stay_within(request, need, kwargs)
            return view(request, *args, **kwargs)

        guarded.need = need  # type: ignore[attr-defined]
        return guarded

    return decorate


def to_sign_in(request: HttpRequest) -> HttpResponse:
    """To the form; a page whose session ended while it polls is told to reload."""
    if is_partial(request):
        return HttpResponse(status=204, headers={"HX-Refresh": "true"})
    return redirect_to_login(request.get_full_path())


def _stay_within(request: HttpRequest, need: Need, kwargs: Mapping[str, Any]) -> None:
    """404 for rows that exist but are not for this user."""
    if not is_limited(request.user):
        return
    if need.of is not None:
        _refuse_foreign(request, need.of, [kwargs[id_name(kwargs)]])
    for name, model in need.picked.items():
        given = [*request.GET.getlist(name), *request.POST.getlist(name)]
        ids = chosen_ids(part for text in given for part in text.split(","))
        _refuse_foreign(request, model, ids)
    if need.whole and not need.open_to_limited(request.method or "GET"):
        raise BeyondLimits
    if need.all_companies:
        demand_all_companies(request)


def id_name(kwargs: Iterable[str]) -> str:
    """The first part of an address that is the id of a row."""
    return next(name for name in kwargs if name == "pk" or name.endswith("_id"))


def is_limited(user: Any) -> bool:
    """Whether the user sees but a part of the portal."""
    return not scope_of(user).everything


def in_the_admin(request: HttpRequest, name: str, pk: int) -> str:
    """Where a page of ours leads back to: the row's page in the admin, which is closed
    to who is limited; they go to the dashboard."""
    if is_limited(request.user):
        return reverse("dashboard")
    return reverse(f"admin:{name}_change", args=[pk])


def _refuse_foreign(request: HttpRequest, model: Any, ids: list[int]) -> None:
    rows = model.objects.filter(pk__in=ids).order_by()
    known = set(rows.values_list("pk", flat=True))
    if known - set(rows.visible_to(request.user).values_list("pk", flat=True)):
        raise Http404("There is no such thing here for you to see.")
