"""The matrix of roles and rights, held against every address of the portal."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from django.contrib import admin
from django.test import Client, RequestFactory
from django.urls import URLPattern, URLResolver, get_resolver

from portal.access import Need
from portal.accounts.backends import held_rights
from portal.accounts.models import User
from portal.accounts.roles import MATRIX, PORTAL_WIDE, Right, Role, right_for
from tests.factories import make_user

pytestmark = pytest.mark.django_db

NOBODY = 987_654
"""An id that no row has."""


@dataclass(frozen=True)
class Route:
    """One address: how its pattern reads, what it leads to."""

    pattern: str
    view: Any
    arguments: tuple[str, ...]

    @property
    def need(self) -> Need | None:
        return getattr(self.view, "need", None)

    @property
    def address(self) -> str:
        """The address with an id that no row has."""
        found = self.pattern
        for name in self.arguments:
            for kind, value in (("int", NOBODY), ("slug", "x"), ("str", "x")):
                found = found.replace(f"<{kind}:{name}>", str(value))
        return f"/{found}"


def routes() -> list[Route]:
    """All addresses but those of Django's admin, which asks for itself."""

    def walk(resolver: URLResolver, before: str) -> Iterator[Route]:
        for one in resolver.url_patterns:
            pattern = before + str(one.pattern)
            if isinstance(one, URLResolver):
                if one.app_name != "admin":
                    yield from walk(one, pattern)
            elif isinstance(one, URLPattern):
                yield Route(pattern, one.callback, tuple(one.pattern.converters))

    return list(walk(get_resolver(), ""))


ROUTES = routes()


def test_every_address_says_which_right_it_needs_or_why_none() -> None:
    silent = [
        route.pattern
        for route in ROUTES
        if route.need is None or not (route.need.right or route.need.because)
    ]
    assert silent == [], (
        "Put one line over each of these views: @needs(Right.SEE), or another right of "
        "portal/accounts/roles.py; see portal/access.py."
    )


def test_every_address_of_a_row_says_of_which_model() -> None:
    """So that who is limited to some connection sets gets only their rows."""
    silent = [
        route.pattern
        for route in ROUTES
        if route.need is not None
        and route.need.right not in (None, Right.LINK, *PORTAL_WIDE)
        and any(name == "pk" or name.endswith("_id") for name in route.arguments)
        and route.need.of is None
        and route.pattern not in FOR_ALL
    ]
    assert silent == [], "Say of=Model in @needs, or add a line to FOR_ALL."


FOR_ALL = {
    "value-maps/<int:pk>/": "value maps belong to no connection set",
    "value-maps/<int:pk>/delete/": "value maps belong to no connection set",
    "alerts/webhooks/<int:pk>/": "webhooks belong to the whole portal",
    "alerts/webhooks/<int:pk>/test/": "webhooks belong to the whole portal",
    "alerts/webhooks/<int:pk>/delete/": "webhooks belong to the whole portal",
}
"""Addresses of rows that are not limited to connection sets, and why."""


def test_models_of_addresses_can_be_limited() -> None:
    for route in ROUTES:
        if route.need is not None:
            for model in (route.need.of, *route.need.picked.values()):
                if model is not None:
                    assert hasattr(model.objects, "visible_to"), (route.pattern, model)


@pytest.fixture(scope="module")
def methods() -> dict[str, str]:
    """GET, or what an address takes instead; found out once."""
    return {}


def ask(client: Client, route: Route, known: dict[str, str]) -> Any:
    """Ask with a method that the view takes."""
    if known.get(route.pattern) != "POST":
        answer = client.get(route.address)
        if answer.status_code != 405:
            return answer
        known[route.pattern] = "POST"
    return client.post(route.address)


@pytest.mark.parametrize("role", [*Role, None])
def test_each_role_gets_where_it_may_and_nowhere_else(
    client: Client, methods: dict[str, str], role: Role | None
) -> None:
    user = make_user(*([role] if role else []))
    rights = {entry.right for entry in MATRIX if role in entry.roles}
    assert held_rights(user) == rights
    client.force_login(user)
    client.raise_request_exception = False
    for route in ROUTES:
        need = route.need
        if need is None or need.right is None:
            continue
        answer = ask(client, route, methods)
        assert answer.status_code != 500, route
        if need.right in rights:
            assert answer.status_code != 403, (role, route.pattern)
        else:
            assert answer.status_code == 403, (role, route.pattern)
        if need.post is not None and need.post not in rights:
            assert client.post(route.address).status_code == 403, route.pattern


OWN = {"inbox/mark/"}
"""Forms that anybody who sees pages may send: they change only what is one's own."""


def test_an_auditor_sends_no_form_but_of_their_own(client: Client) -> None:
    """No view that asks only for a right to read takes a form."""
    client.force_login(make_user(Role.AUDITOR))
    for route in ROUTES:
        if route.need is not None and route.need.right is not None:
            status = client.post(route.address).status_code
            refused = status in (403, 405)
            assert refused != (route.pattern in OWN), (route.pattern, status)


def test_the_refusal_names_the_right_and_who_can_give_it(client: Client) -> None:
    make_user(Role.ADMINISTRATOR, name="ada")
    client.force_login(make_user(Role.AUDITOR))
    answer = client.get("/maps/run/")
    assert answer.status_code == 403
    text = " ".join(answer.content.decode().split())
    assert f"lacks the right to {Right.RUN.words}" in text
    assert "The role Administrator or Operator has it." in text
    assert "Ask an administrator: ada." in text


def test_a_refusal_of_the_admin_names_the_right_too(client: Client) -> None:
    client.force_login(make_user(Role.OPERATOR))
    answer = client.get("/admin/environments/environment/add/")
    assert answer.status_code == 403
    assert f"lacks the right to {Right.LINK.words}" in answer.content.decode()


@pytest.mark.parametrize("role", Role)
def test_the_admin_opens_what_the_matrix_says(role: Role) -> None:
    request = RequestFactory().get("/")
    request.user = make_user(role)
    rights = held_rights(request.user)
    for model, page in admin.site._registry.items():
        meta = model._meta
        needed = right_for(f"{meta.app_label}.view_{meta.model_name}")
        assert page.has_view_permission(request) == (needed in rights), meta.label
        if page.has_change_permission(request):
            needed = right_for(f"{meta.app_label}.change_{meta.model_name}")
            assert needed in rights, meta.label


def test_several_roles_may_what_each_of_them_may() -> None:
    both = held_rights(make_user(Role.MAP_MAKER, Role.OPERATOR))
    assert {Right.RUN, Right.EDIT_MAPS, Right.SEE} <= both
    assert Right.LINK not in both


def test_an_inactive_user_may_nothing() -> None:
    user = make_user(Role.ADMINISTRATOR)
    user.is_active = False
    assert held_rights(user) == frozenset()
    assert not user.has_perm(Right.SEE.permission)


def test_a_superuser_may_everything() -> None:
    assert held_rights(User.objects.create_superuser("root")) == frozenset(Right)
