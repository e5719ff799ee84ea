"""No page offers what would be refused: every link, form and button of every page, as
each role and as people with limits see it."""

from __future__ import annotations

from collections.abc import Iterator
from html.parser import HTMLParser
from urllib.parse import urljoin, urlsplit

import pytest
from django.test import Client
from django.urls import Resolver404, resolve

from portal.access import Need, is_limited
from portal.accounts.models import User
from portal.accounts.roles import Role
from portal.accounts.scope import scope_of
from portal.accounts.services import set_limits
from portal.alerts.webhooks import save_webhook
from portal.comparisons.models import Comparison, FoundDifference
from portal.editor.services import begin
from portal.environments.models import ConnectionSet
from portal.errors.models import Conflict
from portal.maps.models import TableMap
from portal.runs.models import InitialSyncRun, LegRun
from tests.factories import make_connection_set, make_user
from tests.portal.page_rows import make_error, make_queued
from tests.portal.test_limits import FOREIGN, STRANGE, Ground, fill
from tests.portal.test_roles import ROUTES, Route

pytestmark = pytest.mark.django_db

TABS = (
    "columns",
    "versions",
    "initial-sync",
    "compare",
    "queued",
    "errors",
    "activity",
)
PARTS = ("filters", "settings", "try", "examples", "text")
HIDDEN = "otherly"
"""Everything of a company that may not be seen has this in its name or values."""
SLOW = {"environments/<int:pk>/check/", "connection-sets/<int:pk>/check/"}
"""Pages that ask databases, which are not there: left out."""


class Offers(HTMLParser):
    """What a page offers: (method, address). A form is offered by its buttons."""

    def __init__(self, address: str, text: str) -> None:
        super().__init__()
        self.address = address
        self.found: set[tuple[str, str]] = set()
        self._named: dict[str, tuple[str, str]] = {}
        self._open: tuple[str, str] | None = None
        self._sent_by: list[tuple[str, tuple[str, str] | None]] = []
        self.feed(text)
        for name, form in self._sent_by:
            sent = self._named.get(name, form) if name else form
            if sent is not None:
                self._add(*sent)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Links, forms, buttons that send a form elsewhere, and what HTMX asks for."""
        of = {name: value or "" for name, value in attrs}
        if tag == "form":
            method = of.get("method", "get").upper()
            self._open = method, of.get("action", "") or self.address
            self._named[of.get("id", "")] = self._open
        elif tag == "a" and of.get("href"):
            self._add("GET", of["href"])
        elif tag == "button" and "disabled" not in of:
            if of.get("formaction"):
                method = of.get("formmethod", "post").upper()
                self._add(method, of["formaction"])
            elif of.get("type", "submit") == "submit":
                self._sent_by.append((of.get("form", ""), self._open))
        for method in ("GET", "POST"):
            if of.get(f"hx-{method.lower()}") and "disabled" not in of:
                self._add(method, of[f"hx-{method.lower()}"])

    def handle_endtag(self, tag: str) -> None:
        """A form ends."""
        if tag == "form":
            self._open = None

    def _add(self, method: str, address: str) -> None:
        parts = urlsplit(urljoin(f"http://testserver{self.address}", address))
        if parts.netloc == "testserver" and not parts.path.startswith("/static/"):
            self.found.add((method, parts.path))


def refused(user: User, method: str, path: str) -> str:
    """Why the user may not do this; empty when they may."""
    try:
        match = resolve(path)
    except Resolver404:
        return "leads nowhere"
    if match.app_name == "admin":
        return "the admin is closed to them" if is_limited(user) else ""
    need: Need = match.func.need  # type: ignore[attr-defined]
    right = need.right_for(method)
    if right is not None and not user.has_perm(right.permission):
        return f"lacks {right.value}"
    if need.whole and not need.open_to_limited(method) and is_limited(user):
        return "concerns the whole portal"
    if need.all_companies and scope_of(user).parts:
        return "shows records of all companies"
    return ""


@pytest.fixture
def ground() -> Ground:
    """A row of everything, with which every page has something to offer."""
    companies = (("usmf", "USMF"), ("dat", "DAT"))
    own = make_connection_set(name="ownset", legal_entities=companies)
    table_map = fill(own, "own")
    begin(table_map)
    save_webhook("chat", "https://one.example/")
    fill(make_connection_set(name=f"{STRANGE}set", legal_entities=companies), STRANGE)
    fill_company(table_map, "dat", HIDDEN)
    return Ground(own, own, make_user(Role.ADMINISTRATOR))


def fill_company(table_map: TableMap, company: str, word: str) -> None:
    """Records of one company, all of whose values have the word."""
    key, shown = [company, word], f"{company} / {word}"
    row = {"account": word, "name": word}
    make_error(
        table_map,
        shown,
        code=f"code_{word}",
        message=f"{word} is wrong",
        source_row=row,
        mapped_row=row,
    )
    make_queued(table_map, 7, key=key, key_text=shown, new=[word], old=[word])
    Conflict.objects.create(
        table_map=table_map,
        direction="finops_to_dataverse",
        key_text=shown,
        subject=word,
        column="name",
        policy="manual",
        winner="undecided",
        state="undecided",
        finops_key=key,
        dataverse_key=[company.upper(), word],
        finops_row=row,
        dataverse_row=row,
    )
    comparison = Comparison.objects.get(table_map=table_map)
    FoundDifference.objects.create(
        comparison=comparison, kind="different", key=key, key_text=shown
    )
    run = InitialSyncRun.objects.get(table_map=table_map)
    LegRun.objects.create(
        run=run,
        direction="finops_to_dataverse",
        order=2,
        legal_entity=company,
        state="failed",
        total=77_777,
    )


def addresses(ground: Ground) -> Iterator[tuple[Route, str]]:
    """Every page of the portal, with ids of rows that are there."""
    for route in ROUTES:
        need = route.need
        if need is None or need.right is None or route.pattern in SLOW:
            continue
        if not route.pattern.endswith("live/"):
            yield from ((route, address) for address in _filled(route, ground))


def _filled(route: Route, ground: Ground) -> Iterator[str]:
    of = route.need.of if route.need else None
    found = f"/{route.pattern}"
    for name in route.arguments:
        if f"<int:{name}>" in found:
            first = "pk" in name or name.endswith("_id")
            pk = FOREIGN[of](ground) if of is not None and first else 1
            if name == "line_id":
                pk = 0
            found = found.replace(f"<int:{name}>", str(pk))
    if "<slug:tab>" in found:
        yield from (found.replace("<slug:tab>", tab) for tab in TABS)
    elif "<slug:part>" in found:
        yield from (found.replace("<slug:part>", part) for part in PARTS)
    else:
        for name in route.arguments:
            found = found.replace(f"<slug:{name}>", "x")
        picked = {TableMap: "map", ConnectionSet: "set"}
        query = {
            name: FOREIGN[model](ground)
            for name, model in (route.need.picked if route.need else {}).items()
            if picked.get(model) == name
        }
        yield found + (
            "?" + "&".join(f"{a}={b}" for a, b in query.items()) if query else ""
        )


WHO = {
    "a map maker": ((Role.MAP_MAKER,), None),
    "an operator limited to a set": ((Role.OPERATOR,), ""),
    "somebody limited to a company": ((Role.OPERATOR, Role.MAP_MAKER), "usmf"),
}
"""Between them they lack every right, and every limit is met."""


@pytest.fixture(scope="module")
def posts() -> set[str]:
    """Addresses that only take forms; found out once."""
    return set()


@pytest.mark.parametrize("who", WHO)
def test_no_page_offers_what_would_be_refused(
    client: Client, ground: Ground, posts: set[str], who: str
) -> None:
    roles, company = WHO[who]
    user = make_user(*roles)
    if company is not None:
        set_limits(user, limited=True, limits=[(ground.own, company)])
    client.force_login(user)
    wrong: dict[tuple[str, str, str], str] = {}
    leaks: list[str] = []
    seen = 0
    for route, address in addresses(ground):
        if route.pattern in posts or refused(user, "GET", urlsplit(address).path):
            continue
        user = User.objects.get(pk=user.pk)
        answer = client.get(address)
        if answer.status_code == 405:
            posts.add(route.pattern)
        kind = answer.headers.get("Content-Type", "")
        if answer.status_code != 200 or answer.streaming or "html" not in kind:
            continue
        seen += 1
        text = answer.content.decode()
        if company is not None and STRANGE in text:
            leaks.append(f"{address}: {STRANGE}")
        if company and (HIDDEN in text or "77,777" in text):
            leaks.append(f"{address}: {HIDDEN}")
        for method, path in Offers(urlsplit(address).path, text).found:
            if why := refused(user, method, path):
                wrong.setdefault((method, path, why), address)
    assert seen > 25
    assert wrong == {}
    assert leaks == []
