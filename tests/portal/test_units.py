"""Atomic writes through the portal: repeated, refused, left in doubt, resolved."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command

from portal.activity.models import ActivityEvent
from portal.alerts.models import Alert
from portal.environments.models import ConnectionSet
from portal.environments.services import unlink
from portal.maps.models import Leg, MapState
from portal.refusals import Refusal
from portal.units import services
from portal.units.models import AtomicUnit, UnitStates
from portal.units.tasks import resolve_units
from syncengine.atomic import UnitRecord
from syncengine.connectors.branch import WriteKind
from syncengine.mapping.model import Side
from tests.engine.pair import CUSTOMERS_MAP, Pair
from tests.factories import make_connection_set, make_map

pytestmark = pytest.mark.django_db(transaction=True)


class Died(BaseException):
    """The writer dies here: nothing it could still do is done."""


def customer(account: str, name: str = "New", **values: str) -> UnitRecord:
    return UnitRecord(
        Side.FINOPS,
        WriteKind.INSERT,
        "customersv3",
        values={
            "dataareaid": "usmf",
            "customeraccount": account,
            "organizationname": name,
            "onholdstatus": "No",
            **values,
        },
        carry=True,
    )


def present(pair: Pair, account: str) -> tuple[bool, bool]:
    erp = pair.erp.execute(
        "SELECT 1 FROM customersv3 WHERE customeraccount = %s", [account]
    )
    crm = pair.crm.execute("SELECT 1 FROM accounts WHERE accountnumber = %s", [account])
    return erp.fetchone() is not None, crm.fetchone() is not None


@pytest.fixture
def live(link: ConnectionSet, pair: Pair) -> Iterator[ConnectionSet]:
    make_map(link, definition=CUSTOMERS_MAP, state=MapState.RUNNING)
    yield link
    if ConnectionSet.objects.filter(pk=link.pk).exists():
        services.resolve_set(link, older_than=timedelta(0))


def died_at(live: ConnectionSet, unit_id: str, step: str) -> None:
    def at(reached: str) -> None:
        if reached == step:
            raise Died

    with pytest.raises(Died):
        services.write(live, unit_id, [customer("D1")], at=at)


def test_a_unit_is_written_once_however_often_it_is_sent(
    live: ConnectionSet, pair: Pair
) -> None:
    first = services.write(live, "u-1", [customer("A1"), customer("A2")])
    assert first.state == UnitStates.COMMITTED
    assert first.written["finops"] == {"inserted": 2}
    assert present(pair, "A1") == (True, True)
    again = services.write(live, "u-1", [customer("A1"), customer("A2")])
    assert (again.pk, again.written) == (first.pk, first.written)
    with pytest.raises(Refusal) as refused:
        services.write(live, "u-1", [customer("A3")])
    assert refused.value.code == "unit_id_taken"


def test_a_refused_unit_says_which_record_and_may_be_sent_again(
    live: ConnectionSet, pair: Pair
) -> None:
    with pytest.raises(Refusal) as refused:
        services.write(live, "u-2", [customer("B1"), customer("B2", "x" * 60)])
    assert "record 2" in refused.value.message
    assert present(pair, "B1") == (False, False)
    unit = AtomicUnit.objects.get()
    assert (unit.state, unit.record) == (UnitStates.ABORTED, 1)
    assert unit.code == "value_too_long"
    services.write(live, "u-2", [customer("B1"), customer("B2", "short")])
    unit.refresh_from_db()
    assert (unit.state, unit.attempt, unit.code) == (UnitStates.COMMITTED, 2, "")
    assert present(pair, "B2") == (True, True)


@pytest.mark.parametrize(
    ("step", "expected"),
    [("begun", False), ("both prepared", False), ("decided", True)],
)
def test_what_a_dead_writer_left_is_ended_as_it_was_decided(
    live: ConnectionSet, pair: Pair, step: str, expected: bool
) -> None:
    died_at(live, "u-3", step)
    resolve_units()
    unit = AtomicUnit.objects.get()
    if not expected:
        # Young and undecided: its writer may be at work.
        assert unit.state == UnitStates.PREPARING
        with pytest.raises(Refusal) as refused:
            services.write(live, "u-3", [customer("D1")])
        assert refused.value.code == "unit_running"
    services.resolve_set(live, older_than=timedelta(0))
    unit.refresh_from_db()
    assert unit.state == (UnitStates.COMMITTED if expected else UnitStates.ABORTED)
    assert present(pair, "D1") == (expected, expected)
    if step != "begun":
        assert ActivityEvent.objects.filter(kind="units.resolved").exists()
    services.write(live, "u-3", [customer("D1")])
    assert present(pair, "D1") == (True, True)


def test_a_unit_in_doubt_for_a_minute_raises_an_alert(
    live: ConnectionSet, pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    died_at(live, "u-4", "both prepared")
    monkeypatch.setattr(services, "IN_DOUBT_SECONDS", -1.0)
    services.resolve_set(live)
    assert "in doubt" in Alert.objects.get(closed_at=None).message
    monkeypatch.undo()
    services.resolve_set(live, older_than=timedelta(0))
    assert not Alert.objects.filter(closed_at=None).exists()


def test_a_map_with_older_changes_in_its_queue_refuses_units(
    live: ConnectionSet, pair: Pair
) -> None:
    Leg.objects.filter(direction="dataverse_to_finops").update(mode="queue")
    with pytest.raises(Refusal) as refused:
        services.write(live, "u-5", [customer("E1")])
    assert refused.value.code == "map_not_live"
    assert present(pair, "E1") == (False, False)


def test_the_command_writes_lists_and_resolves(
    live: ConnectionSet, pair: Pair, tmp_path: Path
) -> None:
    file = tmp_path / "unit.json"
    file.write_text(
        json.dumps(
            {
                "unit": "from-file",
                "records": [
                    {
                        "side": "finops",
                        "kind": "insert",
                        "table": "customersv3",
                        "values": dict(customer("F1").values),
                    }
                ],
            }
        )
    )
    out = StringIO()
    call_command("dw", "units", "write", str(file), "--json", stdout=out)
    assert json.loads(out.getvalue())["state"] == "committed"
    assert present(pair, "F1") == (True, True)
    out = StringIO()
    call_command("dw", "units", stdout=out)
    assert "from-file" in out.getvalue()
    out = StringIO()
    call_command("dw", "units", "resolve", "--json", stdout=out)
    assert json.loads(out.getvalue())["resolved"][0]["waiting"] == []


@pytest.mark.parametrize(
    "record",
    [
        {},
        {"side": "left", "kind": "insert", "table": "t", "values": {"a": "b"}},
        {"side": "finops", "kind": "update", "table": "t", "values": {"a": "b"}},
        {"side": "finops", "kind": "insert", "table": "t"},
        {"side": "finops", "kind": "insert", "table": "t", "values": {"a": 1.5}},
        {"side": "finops", "kind": "delete", "table": "t", "key": {"a": "1"}, "x": 1},
    ],
)
def test_a_file_that_cannot_be_read_is_refused(
    record: dict[str, object], tmp_path: Path
) -> None:
    from portal.units.files import read_unit

    with pytest.raises(Refusal) as refused:
        read_unit({"unit": "u", "records": [record]})
    assert refused.value.code == "unit_unreadable"


def test_an_environment_out_of_reach_refuses_before_anything_is_noted() -> None:
    with pytest.raises(Refusal) as refused:
        services.write(make_connection_set(), "u-6", [customer("G1")])
    assert refused.value.retryable
    assert not AtomicUnit.objects.exists()


def test_unlinking_ends_what_is_in_doubt_before_the_decision_is_gone(
    live: ConnectionSet, pair: Pair
) -> None:
    died_at(live, "u-7", "decided")
    Leg.objects.all().delete()
    live.maps.update(state=MapState.NOT_RUNNING)
    unlink(live)
    assert present(pair, "D1") == (True, True)
    assert not AtomicUnit.objects.exists()
    prepared = pair.erp.execute("SELECT count(*) FROM pg_prepared_xacts").fetchone()
    assert prepared == (0,)
