"""Generated columns, which the log leaves out, in the changes of a stream."""

from __future__ import annotations

from syncengine.connectors.base import Change, ChangeStream
from tests.connectors.conftest import Ground
from tests.waiting import wait_until

LINK = "dwgenerated"
TABLE = (
    "CREATE TABLE things (id int PRIMARY KEY, name text, tags text[], amount numeric, "
    '"odd % name" int, '
    "loud varchar(9) GENERATED ALWAYS AS (upper(name) || '%') STORED, "
    "rounded numeric(9,1) GENERATED ALWAYS AS (amount * 2) STORED, "
    'rest int GENERATED ALWAYS AS ("odd % name" % 7) STORED, '
    "first text GENERATED ALWAYS AS (tags[1]) STORED)"
)
PLAIN = "CREATE TABLE plain (id int PRIMARY KEY, name text)"
COMPUTED = ("loud", "rounded", "rest", "first")


def changes(stream: ChangeStream, number: int) -> list[Change]:
    found: list[Change] = []

    def enough() -> bool:
        for transaction in stream.receive(1000, 1 << 20, 0.1):
            found.extend(transaction.changes)
        return len(found) >= number

    wait_until(enough, message=lambda: str(found))
    return found


def named(change: Change, row: tuple[str | None, ...] | None) -> dict[str, str | None]:
    return dict(zip(change.relation.columns, row or (), strict=bool(row)))


def computed(change: Change, row: tuple[str | None, ...] | None) -> list[str | None]:
    values = named(change, row)
    return [values.get(name) for name in COMPUTED]


def test_images_of_rows_before_and_after_have_their_generated_columns(
    any_ground: Ground,
) -> None:
    any_ground.execute(TABLE, PLAIN)
    connector = any_ground.connector()
    connector.install(LINK, ["things", "plain"])
    stream = connector.open_stream(LINK, None)
    try:
        any_ground.execute(
            "INSERT INTO plain VALUES (1, 'x')",
            "INSERT INTO things VALUES (1, 'a', '{\"p, q\",r}', 1.26, 9), "
            "(2, NULL, NULL, NULL, NULL)",
            "UPDATE things SET name = 'b', amount = 0 WHERE id = 1",
            "DELETE FROM things WHERE id = 1",
        )
        plain, one, nothing, updated, deleted = changes(stream, 5)
        assert plain.relation.columns == ("id", "name")
        before = ["A%", "2.5", "2", "p, q"]
        assert computed(one, one.new) == before
        assert named(one, one.new)["tags"] == '{"p, q",r}'
        assert computed(nothing, nothing.new) == [None] * 4
        assert computed(updated, updated.old) == before
        assert computed(updated, updated.new) == ["B%", "0.0", "2", "p, q"]
        assert computed(deleted, deleted.old) == ["B%", "0.0", "2", "p, q"]
        assert updated.relation is one.relation

        any_ground.execute(
            "ALTER TABLE things DROP COLUMN loud, "
            "ADD COLUMN loud text GENERATED ALWAYS AS (lower(name)) STORED",
            "UPDATE things SET name = 'CC' WHERE id = 2",
        )
        (again,) = changes(stream, 1)
        assert named(again, again.new)["loud"] == "cc"
    finally:
        stream.close()
        connector.uninstall(LINK)


def test_virtual_columns_are_computed_too(ground: Ground) -> None:
    ground.execute(
        "CREATE TABLE things (id int PRIMARY KEY, name text, "
        "loud text GENERATED ALWAYS AS (upper(name)) VIRTUAL)"
    )
    connector = ground.connector()
    connector.install(LINK, ["things"])
    stream = connector.open_stream(LINK, None)
    try:
        ground.execute("INSERT INTO things (id, name) VALUES (1, 'a')")
        (change,) = changes(stream, 1)
        assert named(change, change.new) == {"id": "1", "name": "a", "loud": "A"}
    finally:
        stream.close()
        connector.uninstall(LINK)


def test_capture_never_keeps_people_from_changing_their_rows(
    any_ground: Ground,
) -> None:
    any_ground.execute(TABLE)
    connector = any_ground.connector()
    connector.install(LINK, ["things"])
    try:
        any_ground.execute(
            "INSERT INTO things (id) VALUES (1)",
            "UPDATE things SET name = 'a'",
            "DELETE FROM things",
        )
        assert connector.check(LINK, ["things"]) == []
        assert connector.plan_install(LINK, ["things"]).statements == ()
    finally:
        connector.uninstall(LINK)


def test_a_publication_of_an_older_version_is_put_right(ground: Ground) -> None:
    ground.execute(TABLE)
    connector = ground.connector()
    connector.install(LINK, ["things"])
    try:
        ground.execute(
            f"ALTER PUBLICATION dualwrite_{LINK}_finops "
            "SET (publish_generated_columns = none)"
        )
        (statement,) = connector.plan_install(LINK, ["things"]).statements
        assert "publish_generated_columns = stored" in statement
        connector.install(LINK, ["things"])
        ground.execute("INSERT INTO things (id) VALUES (1)", "UPDATE things SET id = 2")
    finally:
        connector.uninstall(LINK)


def test_virtual_columns_keep_their_table_from_reporting_whole_rows(
    ground: Ground,
) -> None:
    ground.execute(
        "CREATE TABLE things (id int PRIMARY KEY, name text, "
        "loud text GENERATED ALWAYS AS (upper(name)) VIRTUAL)"
    )
    connector = ground.connector()
    connector.install(LINK, ["things"])
    try:
        ground.execute(
            "INSERT INTO things (id) VALUES (1)",
            "UPDATE things SET name = 'a'",
            "DELETE FROM things",
        )
        (finding,) = connector.check(LINK, ["things"])
        assert finding.code == "PG_REPLICA_IDENTITY"
        assert "virtual columns" in finding.message
        assert not finding.script
        assert connector.plan_install(LINK, ["things"]).statements == ()
    finally:
        connector.uninstall(LINK)
