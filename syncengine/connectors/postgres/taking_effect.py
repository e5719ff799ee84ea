"""When a new value of `synchronous_standby_names` holds for every commit.

A server reads its settings process by process, each in its own time, and our own
session says nothing of the others. But of all those copies two kinds alone decide:

* Whether a commit waits at all: one flag that all sessions share, which the
  checkpointer sets. No session asks its own copy, so a commit of ours that is seen
  waiting proves it for all sessions.
* For whom it waits: the copies of the walsenders, each of which lets commits go when by
  its own copy enough have confirmed. Each shows the rank it has by that copy. Ours is
  put first, so that the rank of every other one changes with the new value.

What cannot be seen so: other standbys that are waited for as `ANY` all have one rank,
and those of other accounts show none where ours may not read it. They get a moment; a
commit of that moment would have waited for them alone, as it did before.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress

import psycopg
from psycopg import pq

from syncengine.connectors.base import ConnectionSettings
from syncengine.connectors.postgres.connection import PostgresConnection, connect
from syncengine.connectors.postgres.standby_names import StandbyNames
from syncengine.errors import OutageError

TAKES_EFFECT_SECONDS = 5.0
UNSEEN_SECONDS = 0.5
POLL_SECONDS = 0.005

_RANKS = """
SELECT lower(application_name), sync_priority FROM pg_stat_replication
WHERE state IN ('streaming', 'catchup') OR state IS NULL
"""
_COMMIT = b"SELECT pg_logical_emit_message(true, 'dualwrite gate', '')"
_WAITS = """
SELECT 1 FROM pg_stat_get_activity(%s) WHERE wait_event = 'SyncRep'
"""


def wait_until_in_effect(
    connection: PostgresConnection,
    settings: ConnectionSettings,
    names: StandbyNames,
    ours: str,
) -> None:
    """Return once every commit that begins waits for `ours`, which is in `names`.

    Raises OutageError `setting_slow` where that cannot be seen in time.
    """
    deadline = time.monotonic() + TAKES_EFFECT_SECONDS
    unseen = _ranked(connection, settings, names, ours, deadline)
    _seen_waiting(connection, settings, deadline)
    if unseen:
        time.sleep(UNSEEN_SECONDS)


def _ranked(
    connection: PostgresConnection,
    settings: ConnectionSettings,
    names: StandbyNames,
    ours: str,
    deadline: float,
) -> bool:
    """Wait until all walsenders have their new rank; whether some show none."""
    by_choice = names.method == "ANY"
    wanted = {
        name.lower(): 1 if by_choice else rank
        for rank, name in reversed(list(enumerate(names.names, start=1)))
    }
    while True:
        present = [
            (name, rank)
            for name, rank in connection.execute(_RANKS).fetchall()
            if name in wanted
        ]
        late = [
            name
            for name, rank in present
            if rank is not None and int(rank) != wanted[name]
        ]
        if not late and any(name == ours for name, _ in present):
            return any(
                rank is None or (by_choice and name != ours) for name, rank in present
            )
        if time.monotonic() > deadline:
            raise _slow(settings, f"not taken over by {', '.join(late) or ours}")
        time.sleep(POLL_SECONDS)


def _seen_waiting(
    connection: PostgresConnection, settings: ConnectionSettings, deadline: float
) -> None:
    """Commit nothing, again and again, until such a commit is seen waiting."""
    with _prober(settings) as probe:
        backend = str(probe.backend_pid)
        while time.monotonic() <= deadline:
            probe.send_query(_COMMIT)
            while _busy(probe):
                if connection.execute(_WAITS, [backend]).fetchone() is not None:
                    _finish(probe, deadline)
                    return
            _results(probe, settings)
    raise _slow(settings, "no commit was seen waiting")


@contextmanager
def _prober(settings: ConnectionSettings) -> Iterator[pq.abc.PGconn]:
    probe = connect(settings, autocommit=True, application_name="dualwrite gate")
    with closing(probe):
        probe.execute("SET synchronous_commit = on")
        try:
            yield probe.pgconn
        finally:
            # One that still waits would do so for ever, behind a closed connection.
            if probe.pgconn.transaction_status == pq.TransactionStatus.ACTIVE:
                with suppress(psycopg.Error):
                    probe.pgconn.get_cancel().cancel()


def _finish(probe: pq.abc.PGconn, deadline: float) -> None:
    """Let the commit come through in its time, so that nobody sees it waiting still."""
    while _busy(probe) and time.monotonic() <= deadline:
        time.sleep(POLL_SECONDS)


def _busy(probe: pq.abc.PGconn) -> bool:
    probe.consume_input()
    return bool(probe.is_busy())


def _results(probe: pq.abc.PGconn, settings: ConnectionSettings) -> None:
    while (result := probe.get_result()) is not None:
        if result.status != pq.ExecStatus.TUPLES_OK:
            raise OutageError(
                f"{settings.name} refused a commit of ours that was to show whether "
                "commits wait.",
                code="setting_slow",
                remote=result.error_message.decode(errors="replace").strip(),
            )


def _slow(settings: ConnectionSettings, reason: str) -> OutageError:
    return OutageError(
        f"Commits on {settings.name} did not begin to wait for our stream within "
        f"{TAKES_EFFECT_SECONDS:g} s after the server was told to: {reason}.",
        code="setting_slow",
    )
