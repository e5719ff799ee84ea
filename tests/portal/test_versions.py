"""Versions of a map: they rise, are compared, and an earlier one can be used again."""

from __future__ import annotations

import pytest
from django.core.management import CommandError

from portal.accounts.models import User
from portal.activity.models import ActivityEvent
from portal.environments.models import ConnectionSet
from portal.maps.conversion import to_engine
from portal.maps.models import MapState, TableMap
from portal.maps.versions import create_version, find_version, use_version
from portal.refusals import ActionForbidden, NotFound, Refusal
from syncengine.mapping.model import ColumnMap, ColumnMapType
from tests.factories import make_definition, make_map
from tests.portal.test_command_line import dw

pytestmark = pytest.mark.django_db

PHONE = ColumnMap("phone", "telephone1", ColumnMapType.TO_DATAVERSE)


@pytest.fixture
def customers() -> TableMap:
    """A map at contoso 1.0.10.0, after contoso 1.0.2.0 and fabrikam 5.0.0.0."""
    table_map = make_map(definition=make_definition(version="1.0.2.0"))
    more = (*make_definition().columns, PHONE)
    for changes in (
        {"publisher": "fabrikam", "version": "5.0.0.0"},
        {"version": "1.0.10.0", "columns": more},
    ):
        create_version(table_map, make_definition(**changes))  # type: ignore[arg-type]
    table_map.refresh_from_db()
    return table_map


def test_a_version_is_compared_number_by_number(customers: TableMap) -> None:
    with pytest.raises(Refusal) as refused:
        create_version(customers, make_definition(version="1.0.9.9"))
    assert refused.value.code == "version_not_higher"
    assert refused.value.message == (
        "Map customers: version 1.0.9.9 is lower than 1.0.10.0, the highest of "
        "contoso (the present version is contoso 1.0.10.0): raise the version above "
        "1.0.10.0."
    )
    create_version(customers, make_definition(version="1.0.11.0"))
    customers.refresh_from_db()
    assert str(customers.version) == "contoso 1.0.11.0"


def test_every_publisher_has_numbers_of_its_own(customers: TableMap) -> None:
    create_version(customers, make_definition(publisher="", version="0.0.0.1"))
    customers.refresh_from_db()
    assert str(customers.version) == "0.0.0.1"
    with pytest.raises(Refusal, match=r"is lower than 5\.0\.0\.0, the highest of fab"):
        create_version(
            customers, make_definition(publisher="fabrikam", version="4.0.0.0")
        )


def test_a_number_is_used_once(customers: TableMap) -> None:
    with pytest.raises(Refusal, match=r"is at version 1\.0\.10\.0 of contoso"):
        create_version(customers, make_definition(version="1.0.10.0"))
    with pytest.raises(Refusal, match='go to that one with \'dw versions "customers"'):
        create_version(customers, make_definition(version="1.0.2.0"))


def test_the_numbers_rise_above_those_that_were_left_again(
    customers: TableMap,
) -> None:
    use_version(customers, find_version(customers, "1.0.2.0"))
    with pytest.raises(Refusal, match=r"the present version is contoso 1\.0\.2"):
        create_version(customers, make_definition(version="1.0.3.0"))


@pytest.mark.parametrize("state", [s for s in MapState if s != MapState.NOT_RUNNING])
def test_a_definition_changes_only_while_the_map_is_stopped(state: MapState) -> None:
    table_map = make_map()
    first = table_map.versions.get()
    create_version(table_map, make_definition(version="2.0.0.0"))
    TableMap.objects.update(state=state)
    table_map.refresh_from_db()
    for change in (
        lambda: create_version(table_map, make_definition(version="3.0.0.0")),
        lambda: use_version(table_map, first),
    ):
        with pytest.raises(ActionForbidden, match="stop it first") as refused:
            change()
        assert state.label in refused.value.message
    table_map.refresh_from_db()
    assert table_map.version != first


def test_an_earlier_version_becomes_the_current_one(customers: TableMap) -> None:
    user = User.objects.create_user("anna")
    revision = ConnectionSet.objects.get().revision
    earlier = find_version(customers, "1.0.2.0")
    assert use_version(customers, earlier, user=user)
    customers.refresh_from_db()
    assert customers.version == earlier
    assert to_engine(earlier) == make_definition(version="1.0.2.0")
    assert ConnectionSet.objects.get().revision > revision
    event = ActivityEvent.objects.first()
    assert event is not None
    assert (event.user, event.kind, event.table_map) == (user, "map.version", customers)
    assert event.message == (
        "customers: went back to version contoso 1.0.2.0 (from contoso 1.0.10.0)."
    )
    assert customers.versions.count() == 3


def test_using_the_current_version_changes_nothing(customers: TableMap) -> None:
    count = ActivityEvent.objects.count()
    assert not use_version(customers, find_version(customers, "1.0.10.0"))
    assert ActivityEvent.objects.count() == count


def test_a_version_of_another_map_is_not_taken(customers: TableMap) -> None:
    other = make_map(customers.connection_set, name="vendors")
    with pytest.raises(NotFound, match="customers has no such version"):
        use_version(customers, other.versions.get())


def test_a_version_is_found_by_number_or_with_its_publisher(
    customers: TableMap,
) -> None:
    assert find_version(customers, "5.0.0.0").publisher == "fabrikam"
    create_version(customers, make_definition(version="5.0.0.0"))
    with pytest.raises(Refusal, match=r'"contoso 5\.0\.0\.0", "fabrikam 5'):
        find_version(customers, "5.0.0.0")
    assert find_version(customers, "fabrikam  5.0.0.0").publisher == "fabrikam"
    with pytest.raises(NotFound, match=r"Its versions are: contoso 5\.0\.0\.0, "):
        find_version(customers, "9.9.9.9")


# The command


def test_the_command_lists_the_history_newest_first(customers: TableMap) -> None:
    document = dw("versions", "customers", "--json").document
    assert document["map"] == "customers"
    assert [
        (each["publisher"], each["version"], each["current"])
        for each in document["versions"]
    ] == [
        ("contoso", "1.0.10.0", True),
        ("fabrikam", "5.0.0.0", False),
        ("contoso", "1.0.2.0", False),
    ]
    assert {each["created_by"] for each in document["versions"]} == {None}
    text = dw("versions", "customers").out.splitlines()
    assert text[0].split() == ["version", "publisher", "created", "(UTC)", "by"]
    assert text[1].endswith("current")
    TableMap.objects.update(version=None)
    customers.versions.all().delete()
    assert "no version yet" in dw("versions", "customers").out


def test_the_command_compares_two_versions(customers: TableMap) -> None:
    done = dw("versions", "customers", "--compare", "1.0.2.0", "1.0.10.0", "--json")
    assert done.document["equal"] is False
    assert done.document["from"] == {"publisher": "contoso", "version": "1.0.2.0"}
    assert done.document["settings"] == [
        {
            "kind": "changed",
            "name": "version",
            "before": "1.0.2.0",
            "after": "1.0.10.0",
        }
    ]
    (column,) = done.document["columns"]
    assert (column["kind"], column["finops"]) == ("added", "phone")
    text = dw("versions", "customers", "--compare", "1.0.2.0", "1.0.10.0").out
    assert text.splitlines() == [
        "version: 1.0.2.0 -> 1.0.10.0",
        "column phone > telephone1 added",
    ]
    same = dw("versions", "customers", "--compare", "1.0.2.0", "1.0.2.0")
    assert same.out.strip() == "The two versions are equal."


def test_the_command_goes_back(customers: TableMap) -> None:
    done = dw("versions", "customers", "--use", "1.0.2.0", "--json")
    assert done.document == {
        "map": "customers",
        "version": {"publisher": "contoso", "version": "1.0.2.0"},
        "changed": True,
    }
    again = dw("versions", "customers", "--use", "1.0.2.0")
    assert again.out.strip() == "customers is at version contoso 1.0.2.0 already."
    TableMap.objects.update(state=MapState.PAUSED)
    refused = dw("versions", "customers", "--use", "1.0.10.0", "--json")
    assert refused.code == 1
    assert refused.document["error"]["code"] == "action_forbidden"


def test_comparing_and_going_back_at_once_is_bad_usage(customers: TableMap) -> None:
    with pytest.raises((CommandError, SystemExit)):
        dw("versions", "customers", "--compare", "1", "2", "--use", "1")
