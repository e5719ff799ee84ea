"""Connecting, and what each failure means."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import psycopg
import pytest

from syncengine.connectors.base import ConnectionSettings, Outcome, OutcomeKind
from syncengine.connectors.postgres.connection import connect, connect_replication
from syncengine.connectors.postgres.errors import translate_error
from syncengine.connectors.registry import connector_for
from syncengine.errors import EngineError, OutageError, SetupError, TransientError
from syncengine.mapping.model import Side
from tests.connectors.conftest import Ground
from tests.servers import database_name


def settings(dsn: str, connector: str = "postgres") -> ConnectionSettings:
    return ConnectionSettings("erp", Side.FINOPS, connector, dsn)


def test_values_are_text_in_canonical_form(any_ground: Ground) -> None:
    dsn = f"{any_ground.dsn}?options=-c%20TimeZone%3DAsia/Tokyo%20-c%20work_mem%3D5MB"
    with connect(settings(dsn)) as connection:
        row = connection.execute(
            "SELECT true, 7, 1.50, 0.1::float8, timestamptz '2026-03-01 10:00+02', "
            "date '2026-03-01', '\\xAB'::bytea, '{\"a\":1}'::jsonb, NULL, "
            "current_setting('work_mem')"
        ).fetchone()
    assert row == (
        "t",
        "7",
        "1.50",
        "0.1",
        "2026-03-01 08:00:00+00",
        "2026-03-01",
        "\\xab",
        '{"a": 1}',
        None,
        "5MB",
    )


def test_commits_are_durable_whatever_the_account_says(ground: Ground) -> None:
    dsn = f"{ground.dsn}?options=-c%20synchronous_commit%3Doff"
    with connect(settings(dsn)) as connection:
        row = connection.execute("SHOW synchronous_commit").fetchone()
    assert row == ("local",)


@pytest.mark.parametrize(
    "open_it",
    [connect, partial(connect_replication, application_name="dualwrite")],
    ids=["connect", "connect_replication"],
)
def test_a_connection_that_fails_says_why(
    any_ground: Ground, open_it: Callable[[ConnectionSettings], object]
) -> None:
    server = any_ground.server
    cases: list[tuple[str, type[EngineError], str]] = [
        ("postgresql://u:hidden@127.0.0.1:1/x", OutageError, "unreachable"),
        ("postgresql://u:hidden@no.such.host.invalid/x", OutageError, "unreachable"),
        (server.dsn("nothing_here"), SetupError, "database_missing"),
        (server.dsn(user="postgres", password="hidden"), SetupError, "wrong_password"),
        (server.dsn(user="nobody", password="hidden"), SetupError, "wrong_password"),
        ("not a connection text hidden", SetupError, "dsn_invalid"),
    ]
    for dsn, kind, code in cases:
        with pytest.raises(kind) as caught:
            open_it(settings(dsn))
        assert caught.value.code == code
        assert "erp" in caught.value.message
        assert "hidden" not in caught.value.message + caught.value.remote


def test_refused_data_names_table_column_and_reason(any_ground: Ground) -> None:
    any_ground.execute(
        "CREATE TABLE groups (id int PRIMARY KEY)",
        "INSERT INTO groups VALUES (1)",
        "CREATE TABLE customers (id int PRIMARY KEY, name varchar(5) NOT NULL, "
        "g int REFERENCES groups, age int CHECK (age > 0), born date)",
        "INSERT INTO customers VALUES (1, 'a', 1, 1, NULL)",
    )
    cases = [
        ("(2, NULL, 1, 1)", "required_value_missing", "name"),
        ("(1, 'a', 1, 1)", "duplicate_value", "id"),
        ("(2, 'a', 9, 1)", "reference_missing", "g"),
        ("(2, 'a', 1, 0)", "check_violated", ""),
        ("(2, 'abcdef', 1, 1)", "value_too_long", ""),
        ("(2, 'a', 1, 99999999999)", "value_out_of_range", ""),
        ("(2, 'a', 1, 'x')", "conversion_failed", ""),
    ]
    for values, code, column in cases:
        outcome = refusal(any_ground, f"INSERT INTO customers VALUES {values}")
        assert (outcome.kind, outcome.code) == (OutcomeKind.FAILED, code)
        assert outcome.column == column
        assert outcome.message.endswith((".", ")."))
        assert outcome.remote
    assert refusal(any_ground, "DELETE FROM groups").code == "still_referenced"
    assert refusal(any_ground, "SELECT * FROM ghosts").code == "table_missing"
    assert refusal(any_ground, "SELECT ghost FROM groups").code == "column_missing"
    assert refusal(any_ground, "DO $$BEGIN RAISE 'no'; END$$").code == (
        "refused_by_trigger"
    )


TROUBLES: list[tuple[str, type[EngineError], str]] = [
    ("53100", OutageError, "disk_full"),
    ("53200", OutageError, "out_of_memory"),
    ("53300", OutageError, "too_many_connections"),
    ("57P01", OutageError, "unreachable"),
    ("25006", OutageError, "read_only"),
    ("42501", OutageError, "permission_denied"),
    ("40P01", TransientError, "transient"),
    ("40001", TransientError, "transient"),
    ("XX001", OutageError, "server_failure"),
]


def test_troubles_of_the_server_are_no_fault_of_the_data(any_ground: Ground) -> None:
    for state, kind, code in TROUBLES:
        meaning = translate_error(psycopg.errors.lookup(state)("words"), "erp")
        assert isinstance(meaning, kind)
        assert meaning.code == code
    real: list[tuple[str, type[EngineError], str]] = [
        ("SELECT pg_terminate_backend(pg_backend_pid())", OutageError, "unreachable"),
        (
            "DO $$BEGIN SET TRANSACTION READ ONLY; CREATE TABLE made (); END$$",
            OutageError,
            "read_only",
        ),
        (
            "DO $$BEGIN SET LOCAL ROLE pg_monitor; CREATE TABLE pg_catalog.made (); "
            "END$$",
            OutageError,
            "permission_denied",
        ),
    ]
    for statement, kind, code in real:
        meaning = translated(any_ground, statement)
        assert isinstance(meaning, kind), (statement, meaning)
        assert meaning.code == code


def test_a_trigger_that_raises_the_code_of_a_trouble_judges_the_row(
    any_ground: Ground,
) -> None:
    any_ground.execute("CREATE TABLE judged (state text)")
    any_ground.execute(
        "CREATE FUNCTION judge() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN "
        "RAISE 'not this one' USING ERRCODE = NEW.state; END$$",
        "CREATE TRIGGER judge BEFORE INSERT ON judged FOR EACH ROW "
        "EXECUTE FUNCTION judge()",
    )
    for state, kind, _ in TROUBLES:
        outcome = refusal(any_ground, f"INSERT INTO judged VALUES ('{state}')")
        asks = kind is TransientError
        assert outcome.code == ("transient" if asks else "refused_by_trigger"), state
        assert "not this one" in outcome.message


def test_a_cut_connection_is_an_outage(any_ground: Ground) -> None:
    with connect(settings(any_ground.dsn), autocommit=True) as connection:
        (pid,) = connection.execute("SELECT pg_backend_pid()").fetchone() or ("",)
        any_ground.query(f"SELECT pg_terminate_backend({pid}, 5000)")
        with pytest.raises(psycopg.OperationalError) as caught:
            connection.execute("SELECT 1")
    meaning = translate_error(caught.value, "erp")
    assert isinstance(meaning, OutageError)
    assert meaning.code == "unreachable"


def test_the_fingerprint_belongs_to_one_database(
    any_ground: Ground, make_database: Callable[..., str]
) -> None:
    first = any_ground.connector().describe()
    again = any_ground.connector().describe()
    other = any_ground.connector(make_database(any_ground.server)).describe()
    assert first.fingerprint == again.fingerprint != other.fingerprint
    assert first.product == "PostgreSQL"
    assert first.version.startswith(str(any_ground.server.version))
    assert abs(first.clock_skew_seconds) < 2


def test_an_ordinary_role_may_describe(any_ground: Ground, role: str) -> None:
    dsn = any_ground.server.dsn(database_name(any_ground.dsn), role, "secret")
    described = any_ground.connector(dsn).describe()
    assert described.fingerprint == any_ground.connector().describe().fingerprint


def test_an_unknown_connector_is_refused_with_the_known_ones(ground: Ground) -> None:
    with pytest.raises(SetupError, match="known are: postgres"):
        connector_for(settings(ground.dsn, connector="oracle"))
    assert connector_for(settings(ground.dsn)).describe().product == "PostgreSQL"


def test_settings_do_not_show_the_secret(ground: Ground) -> None:
    assert ground.server.password not in repr(settings(ground.dsn))


def translated(ground: Ground, statement: str) -> EngineError | Outcome:
    with connect(settings(ground.dsn), autocommit=True) as connection:
        with pytest.raises(psycopg.Error) as caught:
            connection.execute(statement.encode())
        return translate_error(caught.value, "erp")


def refusal(ground: Ground, statement: str) -> Outcome:
    meaning = translated(ground, statement)
    assert isinstance(meaning, Outcome), meaning
    return meaning
