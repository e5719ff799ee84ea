"""Shared value maps in the browser: who may, the list, editing, deleting."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from portal.accounts.models import User
from portal.accounts.roles import Role
from portal.accounts.services import set_limits
from portal.activity.models import ActivityEvent
from portal.environments.models import ConnectionSet
from portal.maps import value_maps
from portal.maps.models import MapState, SharedValueMap
from portal.maps.shared_values import pairs_of
from tests.factories import make_connection_set, make_user
from tests.mapping.rules import decision, expression, rule
from tests.portal.test_value_maps import NEW, SHARED, YN, make

pytestmark = pytest.mark.django_db

ALL = (
    "value_map_list",
    "value_map_new",
    "value_map_take",
    "value_map_page",
    "value_map_delete",
)
LIST, NEW_PAGE = reverse("value_map_list"), reverse("value_map_new")
TAKE = reverse("value_map_take")
TEXT = "no\t0\nyes\t1\n"


@pytest.fixture
def contoso() -> ConnectionSet:
    return make_connection_set(name="contoso")


@pytest.fixture
def stored() -> SharedValueMap:
    return value_maps.save("YN", YN).value_map


def one(value_map: SharedValueMap) -> str:
    return reverse("value_map_page", args=[value_map.pk])


def remove(value_map: SharedValueMap) -> str:
    return reverse("value_map_delete", args=[value_map.pk])


def signed_in(client: Client, role: Role) -> Client:
    """Somebody with this role only."""
    client.force_login(make_user(role))
    return client


def names(client: Client, **query: str) -> list[str]:
    found = client.get(LIST, query).context["rows"]
    return [row.value_map.name for row in found]


# Who may


def test_visitors_and_people_who_are_not_staff_are_kept_out(
    client: Client, stored: SharedValueMap
) -> None:
    for path in (LIST, NEW_PAGE, one(stored), remove(stored)):
        assert client.get(path)["Location"].startswith(reverse("login"))
    assert client.post(TAKE)["Location"].startswith(reverse("login"))
    client.force_login(User.objects.create_user("visitor"))
    for path in (LIST, NEW_PAGE, one(stored), remove(stored)):
        assert client.get(path).status_code == 403
    assert client.post(TAKE, {"name": "HOLD"}).status_code == 403


def test_staff_may_read_but_change_only_with_the_right(
    client: Client, stored: SharedValueMap
) -> None:
    reader = signed_in(client, Role.OPERATOR)
    assert "New value map" not in reader.get(LIST).content.decode()
    page = reader.get(one(stored)).content.decode()
    assert "readonly" in page
    assert "needs the right to change" in page
    assert reader.post(one(stored), {"pairs": TEXT}).status_code == 403
    assert reader.get(NEW_PAGE).status_code == 403
    assert reader.post(NEW_PAGE, {"name": "x", "pairs": TEXT}).status_code == 403
    assert reader.post(TAKE, {"name": "HOLD"}).status_code == 403
    assert reader.get(remove(stored)).status_code == 403
    assert pairs_of() == {"YN": YN}


def test_a_map_maker_may_change_them(client: Client, stored: SharedValueMap) -> None:
    writer = signed_in(client, Role.MAP_MAKER)
    assert writer.post(one(stored), {"pairs": TEXT}).status_code == 302
    assert writer.post(TAKE, {"name": "HOLD"}).status_code == 302
    assert sorted(pairs_of()) == ["HOLD", "YN"]
    assert writer.post(remove(stored), {"name": "YN"}).status_code == 302


def test_whoever_is_limited_may_read_but_not_change_what_is_shared(
    client: Client, stored: SharedValueMap
) -> None:
    maker = make_user(Role.MAP_MAKER)
    set_limits(maker, limited=True)
    client.force_login(maker)
    assert "readonly" in client.get(one(stored)).content.decode()
    answer = client.post(one(stored), {"pairs": TEXT})
    assert answer.status_code == 403
    assert "concerns the whole portal" in answer.content.decode()
    assert client.post(remove(stored), {"name": "YN"}).status_code == 403
    assert pairs_of() == {"YN": YN}


def test_methods_and_tokens_are_checked(
    admin_client: Client, admin_user: User, stored: SharedValueMap
) -> None:
    assert admin_client.post(LIST).status_code == 405
    assert admin_client.get(TAKE).status_code == 405
    assert admin_client.delete(one(stored)).status_code == 405
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(admin_user)
    for path in (NEW_PAGE, TAKE, one(stored), remove(stored)):
        assert strict.post(path, {"name": "YN", "pairs": TEXT}).status_code == 403
    assert pairs_of() == {"YN": YN}
    assert (
        admin_client.get(reverse("value_map_page", args=[999_999])).status_code == 404
    )


# The list


def test_the_list_filters_sorts_and_offers_ready_made_ones(
    admin_client: Client, contoso: ConnectionSet, stored: SharedValueMap
) -> None:
    value_maps.save("countries", [("de", "germany"), ("fr", "france"), ("x", "y")])
    make(contoso)
    assert names(admin_client) == ["countries", "YN"]
    assert names(admin_client, sort="-name") == ["YN", "countries"]
    assert names(admin_client, sort="-pairs") == ["countries", "YN"]
    assert names(admin_client, sort="nonsense") == ["countries", "YN"]
    assert names(admin_client, q="GERM") == ["countries"]
    assert names(admin_client, used="yes") == ["YN"]
    assert names(admin_client, used="no") == ["countries"]
    assert (
        "No value map matches" in admin_client.get(LIST, {"q": "zz"}).content.decode()
    )
    page = admin_client.get(LIST)
    assert "customers" in page.content.decode()
    offered = [each.value_map.name for each in page.context["ready_made"]]
    assert offered == ["LANG", "COUNTRY", "PROMISE", "HOLD", "RESTRICT"]


def test_a_long_list_is_paged(admin_client: Client) -> None:
    for number in range(51):
        value_maps.save(f"m{number:02}", YN)
    assert len(names(admin_client)) == 50
    assert names(admin_client, page="2") == ["m50"]
    assert names(admin_client, page="nonsense")[0] == "m00"


def test_a_ready_made_one_is_taken_over(admin_client: Client) -> None:
    done = admin_client.post(TAKE, {"name": "HOLD"}, follow=True)
    assert "HOLD was added." in done.content.decode()
    assert len(pairs_of()["HOLD"]) == 6
    again = admin_client.post(TAKE, {"name": "HOLD"}, follow=True)
    assert "already" in again.content.decode()
    wrong = admin_client.post(TAKE, {"name": "nothing"}, follow=True)
    assert "no ready-made value map" in wrong.content.decode()


# One of them


def test_a_new_one_is_pasted_and_comes_back_as_it_was(admin_client: Client) -> None:
    done = admin_client.post(NEW_PAGE, {"name": " YN ", "pairs": TEXT}, follow=True)
    assert pairs_of() == {"YN": NEW}
    assert done.context["text"] == TEXT
    taken = admin_client.post(NEW_PAGE, {"name": "YN", "pairs": "a,b"})
    assert taken.status_code == 409
    assert "There is a value map YN already" in taken.content.decode()
    assert pairs_of() == {"YN": NEW}


def test_saving_writes_versions_and_says_so(
    admin_client: Client, contoso: ConnectionSet, stored: SharedValueMap
) -> None:
    table_map = make(contoso)
    page = admin_client.get(one(stored)).content.decode()
    assert "Saving a change writes a new version of 1 map" in page
    done = admin_client.post(one(stored), {"pairs": TEXT}, follow=True)
    assert "New versions: customers (1.0.0.1)." in done.content.decode()
    assert table_map.versions.count() == 2
    same = admin_client.post(one(stored), {"pairs": TEXT}, follow=True)
    assert "has these pairs already" in same.content.decode()
    event = ActivityEvent.objects.get(kind="value_map.changed")
    assert event.user is not None
    assert event.user.username == "admin"


def test_a_running_map_is_named_and_nothing_is_lost(
    admin_client: Client, contoso: ConnectionSet, stored: SharedValueMap
) -> None:
    make(contoso, state=MapState.RUNNING)
    assert "cannot be changed while" in admin_client.get(one(stored)).content.decode()
    refused = admin_client.post(one(stored), {"pairs": TEXT})
    assert refused.status_code == 409
    assert "contoso/customers is Running" in refused.content.decode()
    assert refused.context["text"] == TEXT
    assert pairs_of() == {"YN": YN}


def test_mistakes_are_named_by_line_and_the_text_is_kept(
    admin_client: Client, stored: SharedValueMap
) -> None:
    text = "no,0\nno,0\nyes"
    refused = admin_client.post(one(stored), {"pairs": text})
    assert refused.status_code == 409
    shown = refused.content.decode()
    assert "Line 2 says the same as line 1" in shown
    assert "Line 3 has 1 value" in shown
    assert refused.context["text"] == text
    several = admin_client.post(
        one(stored), {"pairs": "no,0\noff,0"}, follow=True
    ).content.decode()
    assert "Dataverse values with several meanings" in several


def test_deleting_asks_for_the_name_and_is_refused_in_use(
    admin_client: Client, contoso: ConnectionSet, stored: SharedValueMap
) -> None:
    assert admin_client.post(remove(stored), {"name": "no"}).status_code == 400
    table_map = make(contoso)
    used = admin_client.post(remove(stored), {"name": "YN"})
    assert used.status_code == 409
    assert "contoso/customers uses it" in used.content.decode()
    table_map.version = None
    table_map.save()
    assert admin_client.post(remove(stored), {"name": "YN"}).status_code == 302
    assert not SharedValueMap.objects.exists()


# The map's page


def test_the_columns_of_a_map_show_their_rules(
    admin_client: Client, contoso: ConnectionSet, stored: SharedValueMap
) -> None:
    table_map = make(contoso, "shared")
    ruled = make(
        contoso,
        "ruled",
        line=decision(
            "statecode", "xy", rule("Open", "*", then="1", present=["Draft", "blank"])
        ),
    )
    computed = make(contoso, "computed", line=expression("total", "a * b"))
    page = admin_client.get(reverse("map_page", args=[table_map.pk])).content.decode()
    assert one(stored) in page
    page = admin_client.get(reverse("map_page", args=[ruled.pk])).content.decode()
    assert "Decision by x, y: 1 rule" in page
    assert "over Draft, blank" in page
    page = admin_client.get(reverse("map_page", args=[computed.pk])).content.decode()
    assert "a * b" in page
    assert SHARED.value_map == stored.name
