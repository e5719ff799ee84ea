"""The tests' own ground: servers as production has them, nothing left behind."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest

from tests.servers import PostgresServer, RedisServer, database_name


@pytest.fixture(params=[18, 15])
def server(request: pytest.FixtureRequest) -> PostgresServer:
    return request.getfixturevalue("postgres" if request.param == 18 else "postgres15")


def test_it_can_decode_its_log_and_knows_when_a_row_was_committed(
    server: PostgresServer,
) -> None:
    with psycopg.connect(server.dsn()) as connection:
        found = {
            name: connection.execute(f"SHOW {name}").fetchone()[0]
            for name in ("wal_level", "track_commit_timestamp", "server_version_num")
        }
    assert found["wal_level"] == "logical"
    assert found["track_commit_timestamp"] == "on"
    assert int(found["server_version_num"]) // 10000 == server.version


def test_it_drops_a_database_with_its_slots_and_sessions(
    server: PostgresServer,
) -> None:
    dsn = server.create_database()
    session = psycopg.connect(dsn, autocommit=True)
    session.execute("SELECT pg_create_logical_replication_slot('left', 'pgoutput')")
    server.drop_database(dsn)
    with psycopg.connect(server.dsn()) as connection:
        slots = connection.execute(
            "SELECT count(*) FROM pg_replication_slots WHERE database = %s",
            [database_name(dsn)],
        ).fetchone()
    assert slots == (0,)
    session.close()


def test_a_wrong_password_is_refused(postgres: PostgresServer) -> None:
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(postgres.dsn(user="postgres", password="wrong"))


def test_each_database_is_a_new_one(make_database: Callable[..., str]) -> None:
    assert make_database() != make_database()


def test_a_killed_server_comes_back_on_the_same_port() -> None:
    server = PostgresServer.start(settings={"fsync": "on"})
    dsn = server.create_database()
    with psycopg.connect(dsn) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1 AS id")
    server.execute("CHECKPOINT")
    server.kill()
    server.resume()
    with psycopg.connect(dsn) as connection:
        assert connection.execute("SELECT id FROM kept").fetchone() == (1,)
    server.stop()


def test_valkey_answers(valkey: RedisServer) -> None:
    import redis

    client = redis.Redis.from_url(valkey.url)
    assert client.ping()
    client.close()
