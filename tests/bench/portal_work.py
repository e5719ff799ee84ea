"""What the benchmark does inside the portal, as a program of its own: Django is set up
once, on a fresh database. Prints one JSON document."""

from __future__ import annotations

import argparse
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import django
import psycopg
import structlog

FAILED_SQL = """
INSERT INTO errors_errorgroup (table_map_id, direction, code, "column", text,
    signature, first_seen, last_seen)
SELECT %(map)s, 'finops_to_dataverse', 'check_violated', 'column' || n,
    'accounts refuses the row: rule ' || n || ' fails.', md5(n::text), now(), now()
FROM generate_series(1, %(causes)s) n ON CONFLICT DO NOTHING;
INSERT INTO errors_syncerror (cause_id, table_map_id, direction, phase, key, key_text,
    code, "column", message, remote, operation, "group", position, source_row,
    mapped_row, state, count, first_seen, last_seen, attempts, closed_at)
SELECT g.id, %(map)s, 'finops_to_dataverse', 'live', jsonb_build_array(
        company, 'C' || lpad(n::text, 9, '0')),
    company || ' / C' || lpad(n::text, 9, '0'), g.code, g."column",
    'accounts refuses the row: rule ' || n || ' fails.', '23514: new row', 'upsert',
    '', '', jsonb_build_object('customeraccount', n), jsonb_build_object('name', n),
    CASE WHEN n %% 100 < %(closed)s THEN 'resolved' ELSE 'open' END, 1,
    now() - n * interval '1 second', now(), 0,
    CASE WHEN n %% 100 < %(closed)s THEN now() END
FROM generate_series(%(first)s::bigint, %(last)s::bigint) n
CROSS JOIN LATERAL (SELECT (ARRAY['usmf', 'demf', 'frrt'])[1 + n %% 3] AS company) c
JOIN errors_errorgroup g ON g.table_map_id = %(map)s
    AND g.signature = md5((1 + n %% %(causes)s)::text)
"""
EVENTS_SQL = """
INSERT INTO activity_activityevent (created_at, kind, message, connection_set_id,
    table_map_id, old_state, new_state, correlation_id, details)
SELECT now() - n * interval '1 second',
    (ARRAY['map.run', 'run.completed', 'stream.state', 'map.pause'])[1 + n %% 4],
    'Something happened, number ' || n, %(set)s, %(map)s, '', '', md5(n::text), '{}'
FROM generate_series(%(first)s::bigint, %(last)s::bigint) n
"""
CARRIED_SQL = """
INSERT INTO history_carriedchange (at, map_id, direction, kind, phase, version,
    position, transaction_id, committed_at, source_key, target_key, key_hash, before,
    after, changes)
SELECT now(), %(map)s, 'finops_to_dataverse', 'updated', 'live', 'contoso 1.0.0.0',
    '0/1', n::text, now(), 'usmf / ' || key, 'USMF / ' || key,
    crc32(convert_to(lower(key), 'UTF8')), '{"name":"Old"}', '{"name":"New"}', 1
FROM generate_series(%(first)s::bigint, %(last)s::bigint) n
CROSS JOIN LATERAL (SELECT 'C' || lpad(n::text, 9, '0') AS key) k
"""
AT_ONCE = 100_000
ROUNDS = 20
SECONDS = 300.0


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=("errors", "one-bad", "pages"))
    parser.add_argument("--finops", default="")
    parser.add_argument("--dataverse", default="")
    parser.add_argument("--errors", type=int, default=0)
    parser.add_argument("--events", type=int, default=0)
    options = parser.parse_args()
    django.setup()
    structlog.configure(processors=[_drop])
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    measure = {"errors": _errors, "one-bad": _one_bad, "pages": _pages}[options.what]
    sys.stdout.write(json.dumps(measure(options)))


def _drop(_: Any, __: str, ___: Any) -> Any:
    raise structlog.DropEvent


# -- errors ---------------------------------------------------------------------


def _errors(options: argparse.Namespace) -> dict[str, float]:
    from portal.errors import services
    from portal.errors.models import OPEN_ERROR_STATES, SyncError

    table_map = _mapped(options)
    waiting = SyncError.objects.filter(state__in=OPEN_ERROR_STATES)
    _fail(table_map, options.errors)
    began = time.monotonic()
    services.retry(services.choose(everything=True))
    marked = time.monotonic() - began
    with _stream(table_map):
        began = time.monotonic()
        _until(lambda: not waiting.exists())
        worked = time.monotonic() - began
    _fail(table_map, options.errors)
    began = time.monotonic()
    services.dismiss(services.choose(everything=True))
    dismissed = time.monotonic() - began
    return {
        "marked": options.errors / marked,
        "worked": options.errors / worked,
        "dismissed": options.errors / dismissed,
    }


def _one_bad(options: argparse.Namespace) -> dict[str, float]:
    from portal.errors import services
    from portal.errors.models import SyncError

    table_map = _mapped(options)
    with (
        _stream(table_map),
        psycopg.connect(options.finops, autocommit=True) as erp,
        psycopg.connect(options.dataverse, autocommit=True) as crm,
    ):
        crm.execute("ALTER TABLE accounts ADD CONSTRAINT judge CHECK (name <> 'bad')")

        def there(name: str, number: int) -> bool:
            row = crm.execute(
                "SELECT count(*) FROM accounts WHERE name = %s", [name]
            ).fetchone()
            return row == (number,)

        insert = (
            "INSERT INTO customers (dataareaid, customeraccount, organizationname, "
            "customergroupid, salescurrencycode) VALUES ('usmf', %s, %s, '10', 'USD')"
        )
        erp.execute(insert, ["BAD", "bad"])
        for number in range(1000):
            erp.execute(insert, [f"GOOD{number}", "good"])
        began = time.monotonic()
        _until(lambda: there("good", 1000))
        good = time.monotonic() - began
        _until(lambda: SyncError.objects.filter(state="open").count() == 1)
        crm.execute("ALTER TABLE accounts DROP CONSTRAINT judge")
        began = time.monotonic()
        services.retry(services.choose(everything=True))
        _until(lambda: there("bad", 1))
        return {"good": good, "bad": time.monotonic() - began}


def _mapped(options: argparse.Namespace) -> Any:
    """The mapped tables, linked and running in the portal."""
    from portal.maps.models import MapState
    from tests.bench.maps import LINKED, MAPPED
    from tests.factories import make_connection_set, make_environment, make_map

    connection_set = make_connection_set(
        finops=make_environment(
            "finops", dsn=options.finops, company_column="dataareaid"
        ),
        dataverse=make_environment(
            "dataverse",
            dsn=options.dataverse,
            company_column="company",
            company_lookup_table="companies",
            company_lookup_column="code",
        ),
        legal_entities=tuple((pair.finops, pair.dataverse) for pair in LINKED),
    )
    table_map = make_map(connection_set, definition=MAPPED, state=MapState.RUNNING)
    from portal.environments.connectors import connector_for

    connector_for(connection_set.finops).install(connection_set.link_id, ["customers"])
    connector_for(connection_set.dataverse).install(
        connection_set.link_id, ["accounts"]
    )
    return table_map


@contextmanager
def _stream(table_map: Any) -> Iterator[None]:
    """The stream to Dataverse, in a thread, on the portal's own journal."""
    from django.db import connection

    from portal.environments.connectors import connector_for
    from portal.environments.models import Stream
    from portal.sync.control import PortalControl
    from portal.sync.journal import PortalJournal
    from syncengine.live import LiveStream

    connection_set = table_map.connection_set
    stream, _ = Stream.objects.get_or_create(
        connection_set=connection_set, source="finops"
    )
    live = LiveStream(
        connection_set.link_id,
        connector_for(connection_set.finops),
        connector_for(connection_set.dataverse),
        PortalJournal(connection_set, stream),
        PortalControl(connection_set, stream),
    )
    stop = threading.Event()

    def run() -> None:
        try:
            live.run(stop.is_set)
        finally:
            connection.close()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        _until(lambda: Stream.objects.filter(pk=stream.pk, state="running").exists())
        yield
    finally:
        stop.set()
        thread.join(30)


def _fail(
    table_map: Any, number: int, closed: int = 0, causes: int = 20, since: int = 0
) -> None:
    """So many records of the error list, `closed` of a hundred closed; those up to
    `since` are there already."""
    from django.db import connection

    for first in range(since + 1, number + 1, AT_ONCE):
        with connection.cursor() as cursor:
            cursor.execute(
                FAILED_SQL,
                {
                    "map": table_map.pk,
                    "first": first,
                    "last": min(first + AT_ONCE - 1, number),
                    "closed": closed,
                    "causes": causes,
                },
            )
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE errors_syncerror, errors_errorgroup")


def _until(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not reached():
        if time.monotonic() > deadline:
            raise SystemExit("not reached in time")
        time.sleep(0.01)


# -- pages ----------------------------------------------------------------------


def _pages(options: argparse.Namespace) -> dict[str, Any]:
    """Milliseconds of every list page, each asked for many times."""
    from django.db import connection
    from django.test import Client

    from portal.accounts.models import User
    from portal.errors.models import ErrorGroup, SyncError
    from portal.maps.models import MapState
    from portal.warming import warm
    from tests.factories import make_connection_set, make_definition, make_map

    connection_set = make_connection_set()
    maps = [
        make_map(
            connection_set,
            definition=make_definition(f"map {number}"),
            state=MapState.RUNNING,
        )
        for number in range(10)
    ]
    # In two rounds: the rows of a map lie neither together nor spread evenly.
    errors, events = options.errors // len(maps), options.events // len(maps)
    for since, share in ((0.0, 0.2), (0.2, 1.0)):
        for table_map in maps:
            _fail(table_map, int(errors * share), closed=20, since=int(errors * since))
            _happen(table_map, int(events * share), since=int(events * since))
    for table_map in maps:
        _carry(table_map, errors)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE activity_activityevent")
        cursor.execute("CHECKPOINT")
    warm()
    client = Client(SERVER_NAME="localhost")
    client.force_login(User.objects.create_superuser("bench", "b@example.com", "x"))
    chosen = maps[3].pk
    error = SyncError.objects.filter(table_map=chosen).order_by("pk")[1000].pk
    cause = ErrorGroup.objects.filter(table_map=chosen).order_by("pk")[0].pk
    addresses = [
        "/",
        "/live/",
        "/maps/",
        f"/maps/{chosen}/errors/",
        f"/maps/{chosen}/activity/",
        "/errors/",
        f"/errors/?before={error}",
        "/errors/?after=0",
        "/errors/?state=all",
        "/errors/?state=resolved",
        "/errors/?state=dismissed",
        "/errors/?direction=dataverse_to_finops",
        "/errors/?code=check_violated",
        "/errors/?code=lookup_not_found",
        "/errors/?key=C000077123",
        "/errors/?key=0771",
        "/errors/?key=nothing+like+it",
        "/errors/?key=77",
        f"/errors/?map={chosen}&key=77",
        f"/errors/?map={chosen}&state=all",
        f"/errors/?map={chosen}&state=resolved",
        f"/errors/?cause={cause}",
        f"/errors/{error}/",
        "/errors/causes/",
        f"/errors/causes/{cause}/",
        "/errors/causes/?owner=nobody",
        "/errors/?owner=nobody",
        "/records/",
        "/records/?key=C000077123",
        "/records/?key=usmf+/+C000077123",
        "/activity/",
        "/activity/?kind=run",
        "/activity/?kind=errors",
        f"/activity/?map={chosen}",
        f"/activity/?set={connection_set.pk}",
        "/activity/?after=0",
        "/alerts/",
        "/admin/errors/syncerror/",
        "/admin/activity/activityevent/",
    ]
    found = {address: _asked(client, address) for address in addresses}
    return {"pages": found}


def _asked(client: Any, address: str) -> list[float]:
    taken = []
    for number in range(ROUNDS + 2):
        began = time.perf_counter()
        answer = client.get(address)
        if answer.status_code not in (200, 204):
            raise SystemExit(f"{address} answered {answer.status_code}")
        if number > 1:
            taken.append((time.perf_counter() - began) * 1000)
    return taken


def _carry(table_map: Any, number: int) -> None:
    """So many records of the history."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT history_ensure_day(now()::date)")
        for first in range(1, number + 1, AT_ONCE):
            last = min(first + AT_ONCE - 1, number)
            cursor.execute(
                CARRIED_SQL, {"map": table_map.pk, "first": first, "last": last}
            )
        cursor.execute("ANALYZE history_carriedchange")


def _happen(table_map: Any, number: int, since: int = 0) -> None:
    """So many lines of the activity log; those up to `since` are there already."""
    from django.db import connection

    for first in range(since + 1, number + 1, AT_ONCE):
        with connection.cursor() as cursor:
            cursor.execute(
                EVENTS_SQL,
                {
                    "set": table_map.connection_set_id,
                    "map": table_map.pk,
                    "first": first,
                    "last": min(first + AT_ONCE - 1, number),
                },
            )


if __name__ == "__main__":
    main()
