"""`manage.py dw`: documents, texts and exit codes scripts rely on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.management import call_command, execute_from_command_line
from django.utils import timezone

from portal.environments.models import ConnectionSet, Stream
from portal.errors.models import ErrorState, SyncError
from portal.maps.models import MapState, TableMap
from portal.runs.models import InitialSyncRun, LegRun, RunState
from tests.factories import (
    make_connection_set,
    make_definition,
    make_environment,
    make_map,
)
from tests.portal.page_rows import make_cause

ROOT = Path(__file__).resolve().parents[2]
MOMENT = datetime(2026, 3, 1, 10, tzinfo=UTC)


class Outcome:
    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def document(self) -> Any:
        return json.loads(self.out)


def dw(*arguments: str) -> Outcome:
    """Run the command in this process, as `manage.py dw` would."""
    out, err = StringIO(), StringIO()
    code = 0
    try:
        call_command("dw", *arguments, stdout=out, stderr=err)
    except SystemExit as ended:
        code = int(ended.code or 0)
    return Outcome(code, out.getvalue(), err.getvalue())


def program(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", "dw", *arguments],
        cwd=ROOT,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def make_error(table_map: TableMap, key: str, **values: Any) -> SyncError:
    error = SyncError(
        **{
            "table_map": table_map,
            "direction": "finops_to_dataverse",
            "phase": "live",
            "key": ["usmf", key],
            "key_text": f"usmf / {key}",
            "code": "value_not_in_map",
            "column": "hold",
            "message": "Not in the value map.",
            "first_seen": MOMENT,
            "last_seen": MOMENT,
            **values,
        }
    )
    error.cause = make_cause(error)
    error.save()
    return error


@pytest.fixture
def link(make_database: Callable[..., str]) -> ConnectionSet:
    """Two real databases with a table each, linked."""
    erp, crm = make_database(prefix="erp"), make_database(prefix="crm")
    with psycopg.connect(erp) as connection:
        connection.execute(
            "CREATE TABLE customers (account text PRIMARY KEY, name text, hold text)"
        )
        connection.execute(
            "INSERT INTO customers VALUES ('c1', 'One', 'No'), ('c2', 'Two', 'All'),"
            " ('c3', 'Three', 'Never')"
        )
    with psycopg.connect(crm) as connection:
        connection.execute(
            "CREATE TABLE accounts (accountnumber text PRIMARY KEY, name text,"
            " onhold int)"
        )
        connection.execute("INSERT INTO accounts VALUES ('c1', 'One', 0)")
    return make_connection_set(
        name="contoso",
        finops=make_environment("finops", dsn=erp),
        dataverse=make_environment("dataverse", dsn=crm),
    )


@pytest.mark.django_db
def test_status_has_the_documented_shape() -> None:
    table_map = make_map(make_connection_set(name="contoso"), state=MapState.RUNNING)
    make_error(table_map, "c1")
    Stream.objects.filter(source="finops").update(
        state="running", heartbeat_at=timezone.now(), lag_seconds=0.5, lag_bytes=64
    )
    (entry,) = dw("status", "--json").document["connection_sets"]
    assert entry["name"] == "contoso"
    assert entry["state"] == "stopped"
    streams = {stream["source"]: stream for stream in entry["streams"]}
    assert streams["finops"]["state"] == "running"
    assert streams["finops"]["lag_seconds"] == 0.5
    assert streams["finops"]["lag_bytes"] == 64
    (row,) = entry["maps"]
    assert row == {
        "name": "customers",
        "state": "running",
        "reason": "",
        "version": "1.0.0.0",
        "rows_synced": 0,
        "open_errors": 1,
        "queued": 0,
        "queued_bytes": 0,
        "queued_seconds": None,
        "set_aside": 0,
        "reconcile_needed": None,
    }


@pytest.mark.django_db
def test_a_stream_that_fell_silent_is_down() -> None:
    make_map(state=MapState.RUNNING)
    Stream.objects.update(
        state="running", heartbeat_at=timezone.now() - timedelta(minutes=1)
    )
    (entry,) = dw("status", "--json").document["connection_sets"]
    assert entry["state"] == "down"
    assert {stream["state"] for stream in entry["streams"]} == {"down"}


@pytest.mark.django_db
def test_errors_have_the_documented_shape_and_only_open_ones_show() -> None:
    table_map = make_map()
    error = make_error(table_map, "c1")
    make_error(table_map, "c2", state=ErrorState.RESOLVED)
    assert dw("errors", "--json").document == {
        "errors": [
            {
                "id": error.pk,
                "map": "customers",
                "direction": "finops_to_dataverse",
                "phase": "live",
                "key": ["usmf", "c1"],
                "code": "value_not_in_map",
                "column": "hold",
                "message": "Not in the value map.",
                "state": "open",
                "count": 1,
                "first_seen": "2026-03-01T10:00:00Z",
                "last_seen": "2026-03-01T10:00:00Z",
            }
        ]
    }
    assert "usmf / c1" in dw("errors").out


@pytest.mark.django_db
def test_retry_takes_ids_a_map_or_all() -> None:
    table_map = make_map()
    other = make_map(table_map.connection_set, name="other")
    first, second = make_error(table_map, "c1"), make_error(table_map, "c2")
    make_error(other, "c1")
    revision = ConnectionSet.objects.get().revision

    assert dw("retry", str(first.pk), "--json").document == {"retried": 1}
    first.refresh_from_db()
    assert first.state == ErrorState.RETRYING
    assert first.not_before is not None
    assert ConnectionSet.objects.get().revision == revision + 1
    assert dw("retry", "--map", "customers", "--json").document == {"retried": 2}
    assert dw("retry", "--all", "--json").document == {"retried": 3}
    second.refresh_from_db()
    assert second.state == ErrorState.RETRYING


@pytest.mark.django_db
def test_retrying_what_is_not_open_fails_with_a_sentence() -> None:
    closed = make_error(make_map(), "c1", state=ErrorState.RESOLVED)
    done = dw("retry", str(closed.pk))
    assert done.code == 1
    assert done.err.strip() == f"There is no open error with id {closed.pk}."


@pytest.mark.django_db
def test_actions_say_what_changed_and_what_did_not() -> None:
    connection_set = make_connection_set(name="contoso")
    make_map(connection_set, name="groups", state=MapState.RUNNING)
    make_map(connection_set, name="terms", state=MapState.PAUSED)
    document = dw("pause", "groups", "contoso/terms", "--json").document
    assert [(m["name"], m["state"], m["changed"]) for m in document["maps"]] == [
        ("groups", "paused", True),
        ("terms", "paused", False),
    ]


@pytest.mark.django_db
def test_a_refused_action_exits_1_and_keeps_stdout_one_document() -> None:
    connection_set = make_connection_set()
    make_map(connection_set, name="groups", state=MapState.RUNNING)
    make_map(connection_set, name="terms")
    done = dw("pause", "groups", "terms", "--json")
    assert done.code == 1
    assert done.document["error"]["code"] == "action_forbidden"
    assert "terms is Not running" in done.err
    assert TableMap.objects.get(name="groups").state == MapState.RUNNING


@pytest.mark.django_db
def test_a_name_that_several_maps_have_must_be_told_apart() -> None:
    for name in ("one", "two"):
        make_map(make_connection_set(name=name), state=MapState.RUNNING)
    done = dw("pause", "customers")
    assert done.code == 1
    assert "one/customers, two/customers" in done.err
    assert dw("pause", "two/customers").code == 0
    assert TableMap.objects.get(state="paused").connection_set.name == "two"


@pytest.mark.django_db
def test_apply_plans_applies_and_exports(tmp_path: Path) -> None:
    path = tmp_path / "map.yaml"
    path.write_text(
        "environments:\n"
        "  - {name: erp, role: finops, connector: postgres,"
        " dsn: 'postgresql://u:hidden@h/erp'}\n"
    )
    planned = dw("apply", str(path), "--plan", "--json").document
    assert planned["plan"] is True
    assert planned["changed"] is False
    assert planned["differences"] == [
        {
            "kind": "environment",
            "name": "erp",
            "operation": "create",
            "details": [],
        }
    ]
    assert dw("export", "--json").document["environments"] == []
    assert "+ environment erp" in dw("apply", str(path)).out
    assert "Nothing to change." in dw("apply", str(path)).out
    exported = dw("export", "--format", "yaml").out
    assert "${ERP_DSN}" in exported
    assert "hidden" not in exported


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (None, "cannot be read"),
        ("maps: [", "The file has 1 problem"),
        ("environments:\n  - {name: erp}\n", "role"),
    ],
)
def test_a_bad_file_is_a_sentence(
    tmp_path: Path, text: str | None, sentence: str
) -> None:
    path = tmp_path / "bad.yaml"
    if text is not None:
        path.write_text(text)
    done = dw("apply", str(path))
    assert done.code == 1
    assert sentence in done.err


@pytest.mark.django_db(transaction=True)
def test_run_refuses_an_invalid_map_with_all_findings(link: ConnectionSet) -> None:
    make_map(link, definition=make_definition(finops_table="nowhere"))
    done = dw("run", "customers", "--json")
    assert done.code == 1
    error = done.document["error"]
    assert error["code"] == "validation_failed"
    assert "nowhere" in done.err
    assert TableMap.objects.get().state == MapState.NOT_RUNNING


@pytest.mark.django_db(transaction=True)
def test_run_installs_capture_and_asks_for_a_copy(link: ConnectionSet) -> None:
    table_map = make_map(link)
    document = dw("run", "customers", "--master", "finops", "--json").document
    assert document["maps"][0]["state"] == "initializing"
    run = InitialSyncRun.objects.get()
    assert (run.state, run.master) == (RunState.WAITING, "finops")
    assert run.correlation_id == document["correlation_id"]
    assert {leg.mode for leg in table_map.legs.all()} == {"queue"}
    health = dw("health", "--json").document
    assert {finding["code"] for finding in health["findings"]} >= {"stream_stopped"}
    assert dw("run", "customers", "--json").document["maps"][0]["changed"] is False
    assert InitialSyncRun.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_skipping_the_initial_sync_goes_live_at_once(link: ConnectionSet) -> None:
    table_map = make_map(link)
    with psycopg.connect(link.dataverse.dsn, autocommit=True) as crm:
        crm.execute(
            "CREATE TRIGGER same BEFORE UPDATE ON accounts FOR EACH ROW"
            " EXECUTE FUNCTION suppress_redundant_updates_trigger()"
        )
    done = dw("run", "customers", "--skip-initial-sync", "--wait", "--json")
    assert done.code == 0
    assert [one["code"] for one in done.document["warnings"]] == ["5000"]
    assert "warning 5000 customers accounts: A trigger runs" in done.err
    assert done.document["maps"][0]["state"] == "running"
    assert {leg.mode for leg in table_map.legs.all()} == {"live"}
    assert not InitialSyncRun.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_waiting_for_a_copy_that_left_errors_exits_1(link: ConnectionSet) -> None:
    """The worker's part is played by another connection, in its own thread."""
    import threading

    from django.db import connection

    from tests.waiting import wait_until

    table_map = make_map(link)

    def work() -> None:
        try:
            wait_until(InitialSyncRun.objects.exists, 20, "the run appears")
            run = InitialSyncRun.objects.get()
            LegRun.objects.create(
                run=run,
                direction="finops_to_dataverse",
                order=1,
                total=3,
                exported=3,
                inserted=2,
                failed=1,
            )
            TableMap.objects.update(state=MapState.RUNNING)
            InitialSyncRun.objects.update(state=RunState.COMPLETED)
        finally:
            connection.close()

    thread = threading.Thread(target=work)
    thread.start()
    done = dw("run", table_map.name, "--wait", "--json")
    thread.join(20)
    assert done.code == 1
    assert done.document["maps"][0]["run"]["failed"] == 1
    assert "1 of 3 records failed" in done.err


@pytest.mark.django_db
def test_compare_counts_names_and_repairs(link: ConnectionSet) -> None:
    make_map(link)
    done = dw("compare", "customers", "--json")
    assert done.code == 1
    document = done.document
    assert document["map"] == "customers"
    counts = {k: v for k, v in document.items() if isinstance(v, int) and k != "id"}
    assert counts == {
        "compared": 3,
        "equal": 1,
        "missing_in_finops": 0,
        "missing_in_dataverse": 1,
        "different": 1,
        "unclaimed": 0,
    }
    examples = {example["key"][0]: example for example in document["examples"]}
    assert examples["c2"]["kind"] == "missing_in_dataverse"
    assert "value map" in examples["c3"]["reason"]


@pytest.mark.django_db(transaction=True)
def test_repair_writes_the_winners_rows_and_reports_the_rest(
    link: ConnectionSet,
) -> None:
    make_map(link)
    dw("run", "customers", "--skip-initial-sync")
    done = dw("compare", "customers", "--repair", "finops", "--json")
    repaired = done.document["repaired"]
    assert (repaired["inserted"], repaired["failed"]) == (1, 1)
    assert done.code == 1
    again = dw("compare", "customers", "--json").document
    assert (again["equal"], again["different"]) == (2, 1)


@pytest.mark.django_db
def test_preview_shows_source_result_target_and_errors(link: ConnectionSet) -> None:
    make_map(link)
    document = dw("preview", "customers", "--key", "c1", "--json").document
    directions = {entry["direction"]: entry for entry in document["directions"]}
    (record,) = directions["finops_to_dataverse"]["records"]
    assert record["result"] == {"accountnumber": "c1", "name": "One", "onhold": "0"}
    assert record["target"] == record["result"]
    assert record["differences"] == []
    new = dw("preview", "customers", "--key", "c2", "--json").document
    (record,) = new["directions"][0]["records"]
    assert record["target"] is None
    bad = dw("preview", "customers", "--key", "c3", "--json").document
    (record,) = bad["directions"][0]["records"]
    assert record["error"]["code"] == "value_not_in_map"
    assert len(dw("preview", "customers", "--json").document["directions"]) == 2
    assert dw("preview", "customers", "--key", "nobody").code == 1


@pytest.mark.django_db
def test_health_of_a_set_that_never_ran_does_not_ask_for_capture(
    link: ConnectionSet,
) -> None:
    make_map(link)
    done = dw("health", "--json")
    assert done.document["healthy"] is True
    assert done.code == 0


@pytest.mark.django_db
def test_health_of_a_map_names_it_and_tells_what_is_good_to_know(
    link: ConnectionSet,
) -> None:
    make_map(link)
    make_map(link, name="others", definition=make_definition("others", key=()))
    done = dw("health", "customers", "--json")
    assert done.code == 0
    assert {one["map"] for one in done.document["findings"]} == {"customers"}
    queries = [one for one in done.document["findings"] if one["code"] == "1000"]
    assert len(queries) == 2
    assert all(one["script"].startswith("SELECT ") for one in queries)
    both = dw("health", "customers", "others", "--json")
    assert both.code == 1
    assert {
        (one["map"], one["code"])
        for one in both.document["findings"]
        if one["severity"] == "error"
    } == {("others", "DIPV1003")}
    assert dw("health", "nobody").code == 1
    assert dw("health", "--script").code == 0


@pytest.mark.django_db
def test_health_of_an_unreachable_system_exits_1() -> None:
    make_map()
    done = dw("health", "--json")
    assert done.code == 1
    assert done.document["healthy"] is False
    assert "secret-word" not in done.out + done.err


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["frobnicate"],
        ["run"],
        ["run", "customers", "--master", "nobody"],
        ["retry"],
        ["retry", "1", "--all"],
        ["retry", "one"],
        ["compare", "customers", "--repair", "both"],
        ["export", "--format", "xml"],
        ["health", "customers", "--script"],
    ],
)
def test_bad_usage_exits_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        execute_from_command_line(["manage.py", "dw", *arguments])
    shown = capsys.readouterr()
    assert ended.value.code == 2
    assert "usage: manage.py dw" in shown.err
    assert shown.out == ""


def test_a_database_that_does_not_answer_is_a_sentence() -> None:
    done = program("status", "--json", DATABASE_URL="postgresql://u:p@127.0.0.1:1/d")
    assert done.returncode == 1
    assert json.loads(done.stdout)["error"]["code"] == "database_unreachable"
    assert "The portal's database does not answer" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_database_without_tables_says_what_to_do(database: str) -> None:
    done = program("status", DATABASE_URL=database)
    assert done.returncode == 1
    assert "manage.py migrate" in done.stderr
    assert done.stdout == ""
