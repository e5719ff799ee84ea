"""Choosing a side of a conflict: services and command, against real systems."""

from __future__ import annotations

from typing import Any

import pytest

from portal.activity.models import ActivityEvent
from portal.alerts.models import Alert
from portal.conflicts import keeping, services
from portal.conflicts.services import ConflictChanged
from portal.environments.models import ConnectionSet
from portal.errors.models import Conflict
from portal.maps.models import TableMap
from portal.maps.services import create_map
from portal.refusals import ActionForbidden
from portal.sync.journal import PortalJournal
from syncengine.mapping.model import Direction, Side
from syncengine.ports import ConflictRecord
from tests.engine.pair import CUSTOMERS_MAP, Pair

pytestmark = pytest.mark.django_db


@pytest.fixture
def table_map(link: ConnectionSet) -> TableMap:
    return create_map(link, CUSTOMERS_MAP)


def record(table_map: TableMap, winner: str = "finops", **values: Any) -> None:
    """The conflict of customer C1's name, as a stream tells it."""
    defaults: dict[str, Any] = {
        "map_id": table_map.pk,
        "direction": Direction.FINOPS_TO_DATAVERSE,
        "key": ("usmf", "C1"),
        "policy": "manual" if winner == "undecided" else "finops_wins",
        "winner": winner,
        "column": "name",
        "base": "Old",
        "source_value": "Ours",
        "target_value": "Theirs",
        "finops_key": ("usmf", "C1"),
        "dataverse_key": ("USMF", "C1"),
        "finops_columns": ("organizationname",),
        "dataverse_columns": ("name",),
        "finops_row": {
            "dataareaid": "usmf",
            "customeraccount": "C1",
            "organizationname": "Ours",
            "customergroupid": None,
            "onholdstatus": "No",
            "partytype": "Organization",
        },
        "dataverse_row": {
            "msdyn_company.cdm_companycode": "USMF",
            "accountnumber": "C1",
            "name": "Theirs",
            "msdyn_customergroupid.msdyn_groupid": None,
            "msdyn_onholdstatus": "0",
            "customertypecode": "3",
        },
        "reason": "The map says that FinOps wins.",
    }
    PortalJournal(table_map.connection_set, None).record_conflicts(
        [ConflictRecord(**{**defaults, **values})]
    )


def names(pair: Pair) -> tuple[str, str]:
    here = pair.erp.execute("SELECT organizationname FROM customersv3").fetchone()
    there = pair.crm.execute("SELECT name FROM accounts").fetchone()
    assert here is not None
    assert there is not None
    return here[0], there[0]


def test_the_losing_version_is_written_to_both_sides(
    pair: Pair, table_map: TableMap
) -> None:
    pair.add_customer("C1", organizationname="Ours")
    pair.add_account("C1", name="Ours")
    record(table_map)
    conflict = Conflict.objects.get()
    assert services.sides_to_use(conflict) == ["dataverse"]
    decided = services.use_side(conflict, "dataverse")
    assert names(pair) == ("Theirs", "Theirs")
    assert (decided.state, decided.side, services.in_force(decided)) == (
        "decided",
        "dataverse",
        "dataverse",
    )
    event = ActivityEvent.objects.get(kind="conflict.decided")
    assert "Dataverse's version of name of usmf / C1" in event.message
    services.use_side(conflict, "finops")
    assert names(pair) == ("Ours", "Ours")
    with pytest.raises(ActionForbidden, match="already have FinOps's version"):
        services.use_side(conflict, "finops")


def test_a_record_changed_since_is_shown_and_written_only_when_seen(
    pair: Pair, table_map: TableMap
) -> None:
    pair.add_customer("C1", organizationname="Newer")
    pair.add_account("C1", name="Newer")
    record(table_map)
    with pytest.raises(ConflictChanged) as changed:
        services.use_side(Conflict.objects.get(), "dataverse")
    assert changed.value.present == {
        Side.FINOPS: {"organizationname": "Newer"},
        Side.DATAVERSE: {"name": "Newer"},
    }
    assert names(pair) == ("Newer", "Newer")
    assert Conflict.objects.get().state == "settled"
    services.use_side(Conflict.objects.get(), "dataverse", seen=changed.value.present)
    assert names(pair) == ("Theirs", "Theirs")


def test_an_undecided_conflict_alerts_until_somebody_decides(
    pair: Pair, table_map: TableMap
) -> None:
    pair.add_customer("C1", organizationname="Ours")
    pair.add_account("C1", name="Theirs")
    revision = table_map.connection_set.revision
    for name in ("Ours", "Ours"):
        record(table_map, "undecided", source_value=name)
    conflict = Conflict.objects.get()
    assert conflict.state == "undecided"
    assert keeping.undecided(table_map.pk)[0].finops_columns == ("organizationname",)
    alert = Alert.objects.get(kind="conflict_undecided")
    assert "1 conflict waits" in alert.message
    services.use_side(conflict, "finops")
    assert names(pair) == ("Ours", "Ours")
    alert.refresh_from_db()
    assert alert.closed_at is not None
    assert keeping.undecided(table_map.pk) == []
    link = ConnectionSet.objects.get(pk=table_map.connection_set_id)
    assert link.revision >= revision + 2


def test_a_conflict_that_users_end_is_closed(table_map: TableMap) -> None:
    record(table_map, "undecided")
    journal = PortalJournal(table_map.connection_set, None)
    journal.close_undecided(table_map.pk, ("usmf", "C1"), ("organizationname",))
    conflict = Conflict.objects.get()
    assert conflict.state == "closed"
    assert not Alert.objects.filter(closed_at=None).exists()
    with pytest.raises(ActionForbidden, match="agree again"):
        services.use_side(conflict, "finops")
    record(table_map, "undecided")
    assert Conflict.objects.filter(state="undecided").count() == 1


def test_many_are_decided_by_a_worker_and_refusals_are_told(
    pair: Pair, table_map: TableMap
) -> None:
    for number in range(3):
        key = f"C{number}"
        pair.add_customer(key, organizationname="Ours" if number else "Newer")
        pair.add_account(key, name="Ours" if number else "Newer")
        rows = {
            "finops_key": ("usmf", key),
            "dataverse_key": ("USMF", key),
        }
        record(table_map, key=("usmf", key), **rows)
        made = Conflict.objects.latest("pk")
        for side, name in (
            ("finops", "customeraccount"),
            ("dataverse", "accountnumber"),
        ):
            getattr(made, f"{side}_row")[name] = key
        made.save()
    assert services.ask_for(Conflict.objects.all(), "dataverse") == 3
    assert services.carry_out_asked() == 3
    assert services.carry_out_asked() == 0
    states = list(Conflict.objects.order_by("pk").values_list("state", flat=True))
    assert states == ["settled", "decided", "decided"]
    refused = Conflict.objects.order_by("pk")[0]
    assert "was changed since" in refused.refusal
    assert (refused.wanted_side, refused.side) == ("", "")


def test_records_in_doubt_outlive_the_worker(link: ConnectionSet) -> None:
    journal = PortalJournal(link, link.streams.get(source="finops"))
    assert list(journal.doubts()) == []
    journal.keep_doubts([(7, ("usmf", None))])
    assert list(journal.doubts()) == [(7, ("usmf", None))]
    journal.keep_doubts([])
    assert list(journal.doubts()) == []
