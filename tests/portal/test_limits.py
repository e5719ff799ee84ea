"""Users who are limited to connection sets, or companies of them, see nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from django.db.models import Model
from django.test import Client
from django.urls import reverse

from portal.access import id_name
from portal.accounts.models import User
from portal.accounts.roles import Right, Role
from portal.accounts.scope import scope_of
from portal.accounts.services import set_limits
from portal.activity.models import ActivityEvent
from portal.alerts import services
from portal.alerts.audience import everybody
from portal.alerts.models import Alert, AlertRule, InboxItem
from portal.approvals.models import Approval
from portal.comparisons.models import Comparison, FoundDifference
from portal.environments.models import ConnectionSet, Environment
from portal.errors.models import Conflict, ErrorGroup, SyncError
from portal.maps.models import TableMap
from portal.runs.models import InitialSyncRun
from portal.sync.models import QueuedChange, SavedQueue
from tests.factories import (
    make_connection_set,
    make_environment,
    make_map,
    make_user,
)
from tests.portal.page_rows import ago, make_error, make_event, make_queued, make_run
from tests.portal.test_roles import ROUTES, Route

pytestmark = pytest.mark.django_db

STRANGE = "strangely"
"""Everything of the set that may not be seen has this in its name."""


@dataclass
class Ground:
    """Two connection sets with a row of everything, and who sees only the first."""

    own: ConnectionSet
    foreign: ConnectionSet
    user: User


def fill(connection_set: ConnectionSet, word: str) -> TableMap:
    """A row of each kind that pages show."""
    table_map = make_map(connection_set, name=f"{word} map")
    make_error(table_map, f"usmf / {word} key")
    make_queued(table_map)
    make_run(table_map)
    make_event(table_map=table_map, message=f"{word} event")
    SavedQueue.objects.create(table_map=table_map, changes=1, bytes=9)
    Conflict.objects.create(
        table_map=table_map,
        direction="finops_to_dataverse",
        key_text=f"usmf / {word} key",
        column="name",
        policy="manual",
        winner="undecided",
        state="undecided",
        finops_key=["usmf", f"{word} key"],
        dataverse_key=["USMF", f"{word} key"],
        finops_row={"name": "a"},
        dataverse_row={"name": "b"},
    )
    Alert.objects.create(
        kind="map.late",
        subject=word,
        severity="error",
        connection_set=connection_set,
        table_map=table_map,
        message=f"{word} alert",
        opened_at=ago(60),
        last_seen=ago(60),
    )
    Approval.objects.create(
        table_map=table_map,
        direction="finops_to_dataverse",
        kind="delete",
        count=5,
        rows=9,
    )
    AlertRule.objects.create(
        name=f"{word} rule",
        connection_set=connection_set,
        measure="any_alert",
        threshold=1,
    )
    comparison = Comparison.objects.create(
        table_map=table_map, state="completed", kept=1, different=1
    )
    FoundDifference.objects.create(
        comparison=comparison,
        kind="different",
        key=["usmf", f"{word} key"],
        key_text=f"usmf / {word} key",
    )
    return table_map


@pytest.fixture
def ground() -> Ground:
    companies = (("usmf", "USMF"), ("dat", "DAT"))
    own = make_connection_set(name="ownset", legal_entities=companies)
    foreign = make_connection_set(name=f"{STRANGE}set", legal_entities=companies)
    fill(own, "own")
    fill(foreign, STRANGE)
    user = make_user(Role.OPERATOR, Role.MAP_MAKER)
    set_limits(user, limited=True, limits=[(own, "")])
    return Ground(own, foreign, user)


@pytest.fixture
def limited(client: Client, ground: Ground) -> Client:
    client.force_login(ground.user)
    return client


LISTS = (
    "dashboard",
    "map_list",
    "error_list",
    "error_export",
    "cause_list",
    "conflict_list",
    "conflict_export",
    "run_list",
    "alert_list",
    "approval_list",
    "activity_list",
    "activity_export",
    "map_export",
    "map_download",
    "map_import",
    "value_map_list",
    "ready_made_list",
)


def text_of(answer: Any) -> str:
    if answer.streaming:
        return b"".join(answer.streaming_content).decode()
    found: str = answer.content.decode()
    return found


@pytest.mark.parametrize("name", LISTS)
def test_lists_counts_and_exports_show_only_what_may_be_seen(
    limited: Client, name: str
) -> None:
    address = reverse(name)
    answer = limited.get(address, {"state": "all"} if "error" in name else {})
    assert answer.status_code == 200
    text = text_of(answer)
    assert STRANGE not in text
    limited.force_login(make_user(Role.ADMINISTRATOR))
    shown = text_of(limited.get(address))
    if name not in ("map_export", "value_map_list", "ready_made_list"):
        assert STRANGE in shown


def test_every_list_of_rows_is_in_the_list_of_these_tests() -> None:
    """A new page without an id in its address is either a list, or named here."""
    known = {reverse(name) for name in LISTS}
    missing = [
        route.pattern
        for route in ROUTES
        if route.need is not None
        and route.need.right is not None
        and not route.arguments
        and f"/{route.pattern}" not in known
        and route.pattern not in NO_LISTS
        and not route.need.picked
        and not route.need.whole
        and route.need.right is not Right.LINK
    ]
    assert missing == [], "Add the page to LISTS here, or say in NO_LISTS why not."


NO_LISTS = {
    "live/": "the dashboard's moving part",
    "trends/": "figures of the dashboard",
    "runs/live/": "moving part of the list",
    "system/": "the portal's own processes",
    "inbox/": "one's own messages, tested below",
    "inbox/mark/": "marks only one's own messages",
    "records/asked/": "what systems have of one key, within limits of its own",
    "sample/": "the sample's customers, for who may see its connection set",
    "users/": "closed to whoever is limited",
    "users/new/": "closed to whoever is limited",
    "users/roles/": "the matrix",
    "value-maps/new/": "value maps are everybody's",
    "value-maps/take/": "value maps are everybody's",
}
"""Addresses without ids that list no rows of connection sets."""


FOREIGN: dict[type[Model], Callable[[Ground], Any]] = {
    ConnectionSet: lambda ground: ground.foreign.pk,
    Environment: lambda ground: ground.foreign.finops_id,
    TableMap: lambda ground: _of(TableMap.objects, ground, ""),
    SyncError: lambda ground: _of(SyncError.objects, ground),
    ErrorGroup: lambda ground: _of(ErrorGroup.objects, ground),
    Conflict: lambda ground: _of(Conflict.objects, ground),
    SavedQueue: lambda ground: _of(SavedQueue.objects, ground),
    InitialSyncRun: lambda ground: _of(InitialSyncRun.objects, ground),
    Comparison: lambda ground: _of(Comparison.objects, ground),
    Approval: lambda ground: _of(Approval.objects, ground),
    Alert: lambda ground: _of(Alert.objects, ground, ""),
    AlertRule: lambda ground: _of(AlertRule.objects, ground, ""),
}
"""How to find a row of each model that addresses lead to."""


def _of(rows: Any, ground: Ground, before: str = "table_map__") -> int:
    found: int = (
        rows.filter(**{f"{before}connection_set": ground.foreign}).earliest("pk").pk
    )
    return found


def test_every_address_of_a_foreign_row_leads_nowhere(
    limited: Client, ground: Ground
) -> None:
    routes = [one for one in ROUTES if one.need is not None and one.need.of]
    assert routes
    for route in routes:
        assert route.need
        assert route.need.of in FOREIGN, f"Say in FOREIGN how to find {route.need.of}."
        if _lacks(ground.user, route):
            limited.force_login(_administrator_without_sight(ground))
        else:
            limited.force_login(ground.user)
        pk = FOREIGN[route.need.of](ground)
        name = id_name(route.arguments)
        address = route.pattern.replace(f"<int:{name}>", str(pk))
        for other in route.arguments:
            for kind, value in (("int", "1"), ("slug", "x")):
                address = address.replace(f"<{kind}:{other}>", value)
        for answer in (limited.get(f"/{address}"), limited.post(f"/{address}")):
            assert answer.status_code in (403, 404), (address, answer.status_code)
            assert STRANGE not in text_of(answer)
        assert limited.get(f"/{address}").status_code == 404, address


def _lacks(user: User, route: Route) -> bool:
    assert route.need
    assert route.need.right
    return not User.objects.get(pk=user.pk).has_perm(route.need.right.permission)


def _administrator_without_sight(ground: Ground) -> User:
    """Nobody is this: an administrator with limits, to get past the rights."""
    user, made = User.objects.get_or_create(username="odd", limited=True, is_staff=True)
    if made:
        user.groups.add(*make_user(Role.ADMINISTRATOR).groups.all())
    return user


@pytest.mark.parametrize(
    ("name", "field", "model"),
    [
        ("error_retry", "error", SyncError),
        ("error_dismiss", "error", SyncError),
        ("conflict_use_many", "conflict", Conflict),
        ("alert_mark", "alert", Alert),
        ("map_action", "map", TableMap),
        ("map_resume_do", "map", TableMap),
    ],
)
def test_actions_on_foreign_rows_lead_nowhere(
    limited: Client, ground: Ground, name: str, field: str, model: type[Model]
) -> None:
    pk = FOREIGN[model](ground)
    values = {field: pk, "action": "stop", "confirmed": "yes", "side": "finops"}
    assert limited.post(reverse(name), values).status_code == 404


def test_an_action_on_all_that_match_takes_only_what_may_be_seen(
    limited: Client, ground: Ground
) -> None:
    values = {"scope": "matching", "confirmed": "yes", "reason": "known"}
    limited.post(reverse("error_dismiss"), values)
    states = dict(
        SyncError.objects.values_list("table_map__connection_set__name", "state")
    )
    assert states == {"ownset": "dismissed", f"{STRANGE}set": "open"}


def test_the_inbox_holds_no_alert_of_a_foreign_set(
    limited: Client, ground: Ground
) -> None:
    for alert in Alert.objects.all():
        InboxItem.objects.create(user=ground.user, alert=alert, created_at=ago(1))
    text = text_of(limited.get(reverse("inbox")))
    assert "own alert" in text
    assert STRANGE not in text


def test_an_environment_that_is_not_linked_is_for_administrators(
    limited: Client,
) -> None:
    alone = make_environment("finops", name="alone")
    for name in ("environment_clean", "environment_delete"):
        answer = limited.get(reverse(name, args=[alone.pk]))
        assert answer.status_code == 403
        assert "Administrator" in text_of(answer)
    # What is not there and what is not for them read the same.
    texts = set()
    for pk in (alone.pk, 999_999):
        answer = limited.get(reverse("environment_check", args=[pk]))
        assert answer.status_code == 404
        said = text_of(answer).partition('data-testid="problem"')[2]
        texts.add(said.partition("</div>")[0])
    assert len(texts) == 1
    assert "your user is limited to something else" in texts.pop()


def test_the_admin_is_closed_to_whoever_is_limited(limited: Client) -> None:
    for path in ("/admin/", "/admin/maps/tablemap/", "/admin/errors/syncerror/"):
        answer = limited.get(path)
        assert answer.status_code == 403
        assert "concerns the whole portal" in answer.content.decode()
    assert 'href="/admin/environments' not in text_of(limited.get("/maps/"))


def test_without_limits_given_nothing_is_seen(limited: Client, ground: Ground) -> None:
    set_limits(ground.user, limited=True)
    assert "own map" not in limited.get("/maps/").content.decode()
    own = TableMap.objects.get(connection_set=ground.own)
    assert limited.get(reverse("map_page", args=[own.pk])).status_code == 404


# Companies


@pytest.fixture
def clerk(client: Client, ground: Ground) -> Client:
    """Somebody who sees only the company usmf of the first set."""
    table_map = TableMap.objects.get(connection_set=ground.own)
    make_error(table_map, f"dat / {STRANGE} other")
    make_error(
        table_map, f"DAT / {STRANGE} back", direction="dataverse_to_finops", code="x"
    )
    make_error(table_map, "USMF / seen back", direction="dataverse_to_finops")
    make_error(table_map, "no company")
    make_queued(table_map, 2, key=["dat", STRANGE], key_text=f"dat / {STRANGE} queued")
    set_limits(ground.user, limited=True, limits=[(ground.own, "usmf")])
    client.force_login(ground.user)
    return client


def test_a_company_limits_records_their_counts_and_exports(
    clerk: Client, ground: Ground
) -> None:
    keys = {"usmf / own key", "USMF / seen back", "no company"}
    page = clerk.get(reverse("error_list"))
    assert {one.key_text for one in page.context["page"].rows} == keys
    assert page.context["page"].total == 3
    assert STRANGE not in text_of(clerk.get(reverse("error_export")))
    table_map = TableMap.objects.get(connection_set=ground.own)
    row = clerk.get(reverse("map_list")).context["rows"][0]
    assert (row.open_errors, row.queued) == (3, 1)
    queued = clerk.get(reverse("map_tab", args=[table_map.pk, "queued"]))
    assert [one.key_text for one in queued.context["page"].rows] == ["usmf / C-001"]
    causes = clerk.get(reverse("cause_list")).context["rows"]
    assert sum(one.cause.waiting_count for one in causes) == 3


def test_records_are_found_by_keys_that_name_a_company_one_may_see(
    clerk: Client, ground: Ground
) -> None:
    table_map = TableMap.objects.get(connection_set=ground.own)
    address = reverse("record_page")
    for key, seen in (
        ("usmf / own key", True),
        ("USMF / seen back", True),
        ("own key", False),
        (f"dat / {STRANGE} other", False),
    ):
        answer = clerk.get(address, {"key": key, "map": table_map.pk})
        assert ("Write the key with its company" not in text_of(answer)) == seen, key
        assert bool(answer.context["found"].events) == seen, key
    beyond = {"key": f"dat / {STRANGE} other", "map": table_map.pk}
    assert clerk.get(reverse("record_fields"), beyond).status_code == 404
    for key in ("own key", f"dat / {STRANGE} other"):
        answer = clerk.get(reverse("record_asked"), {"key": key})
        assert answer.status_code == 404, key


def test_events_and_alerts_about_records_of_other_companies_are_not_told(
    clerk: Client, ground: Ground
) -> None:
    table_map = TableMap.objects.get(connection_set=ground.own)
    told = {
        f"{STRANGE} round": ["dat", f"{STRANGE} other"],
        "own round": ["usmf", "own key"],
        "back round": ["USMF", "own key"],
        "shared round": ["no company"],
    }
    for message, key in told.items():
        details = {"record": key}
        make_event(table_map=table_map, message=message, details=details)
        services.raise_alert(
            "loop", message, table_map=table_map, about=message, **details
        )
    seen = set(told) - {f"{STRANGE} round"}
    for name in ("activity_list", "activity_export", "alert_list"):
        shown = text_of(clerk.get(reverse(name)))
        assert {message for message in told if message in shown} == seen, name
        assert STRANGE not in shown
        # What tells of the map alone is there for all who see the map.
        assert ("own event" in shown, "own alert" in shown).count(True) == 1, name
    other = Alert.objects.get(message=f"{STRANGE} round")
    assert clerk.get(reverse("alert_page", args=[other.pk])).status_code == 404
    assert ground.user.pk not in everybody(other)
    assert ground.user.pk in everybody(Alert.objects.get(message="own round"))
    tab = reverse("map_tab", args=[table_map.pk, "activity"])
    assert STRANGE not in text_of(clerk.get(tab))
    assert STRANGE not in text_of(clerk.get("/"))
    clerk.force_login(make_user(Role.ADMINISTRATOR))
    assert f"{STRANGE} round" in text_of(clerk.get(reverse("activity_list")))


def test_figures_of_all_companies_are_not_drawn(clerk: Client) -> None:
    assert "The charts count the records of all companies" in text_of(clerk.get("/"))


def test_a_cause_of_another_company_leads_nowhere(clerk: Client) -> None:
    other = SyncError.objects.get(code="x").cause
    assert other
    assert clerk.get(reverse("cause_page", args=[other.pk])).status_code == 404


def test_a_record_of_another_company_is_not_found(
    clerk: Client, ground: Ground
) -> None:
    other = SyncError.objects.get(key_text=f"dat / {STRANGE} other")
    own = SyncError.objects.get(key_text="usmf / own key")
    assert clerk.get(reverse("error_page", args=[other.pk])).status_code == 404
    assert clerk.get(reverse("error_page", args=[own.pk])).status_code == 200
    answer = clerk.post(reverse("error_retry"), {"error": other.pk})
    assert answer.status_code == 404


def test_what_acts_on_a_whole_map_is_not_for_who_is_limited_to_companies(
    clerk: Client, ground: Ground
) -> None:
    table_map = TableMap.objects.get(connection_set=ground.own)
    values = {"action": "pause", "map": table_map.pk}
    answer = clerk.post(reverse("map_action"), values)
    assert answer.status_code == 403
    assert "limited to some companies" in answer.content.decode()
    assert clerk.get(reverse("error_list")).status_code == 200


@pytest.mark.parametrize("tab", ["preview", "filters"])
def test_tabs_that_read_records_of_any_company_are_closed(
    clerk: Client, ground: Ground, tab: str
) -> None:
    table_map = TableMap.objects.get(connection_set=ground.own)
    answer = clerk.get(reverse("map_tab", args=[table_map.pk, tab]))
    assert answer.status_code == 403
    assert "shows records of all companies" in answer.content.decode()


def test_no_query_is_spent_on_whoever_is_not_limited(
    django_assert_num_queries: Any,
) -> None:
    user = User.objects.get(pk=make_user(Role.OPERATOR).pk)
    with django_assert_num_queries(0):
        assert scope_of(user).everything
        assert "environments_access" not in str(
            SyncError.objects.visible_to(user).query
        )
    assert QueuedChange.objects.visible_to(None).count() == 0
    assert ActivityEvent.objects.visible_to(user).count() > 0
    assert user.has_perm(Right.MEND.permission)
