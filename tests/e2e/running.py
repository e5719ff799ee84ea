"""The whole portal as `make run` starts it: servers, web, workers, beat, samples."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo

from tests.servers import directory, memory
from tests.waiting import wait_until

ROOT = Path(__file__).resolve().parent.parent.parent
OURS = ("DATABASE_URL", "REDIS_URL", "PORT", "DUALWRITE_PORT", "DUALWRITE_SAMPLE")
START_SECONDS = 240.0
SETTLE_SECONDS = 120.0
STOP_SECONDS = 60.0
COMMAND_SECONDS = 90.0
STATEMENT_SECONDS = 60
"""Below what a whole test may take: what hangs is then named."""

UNSETTLED = """
SELECT 'map ' || name || ' ' || state || ' ' || state_reason
    FROM maps_tablemap WHERE state <> 'running' OR state_reason <> ''
UNION ALL SELECT 'stream ' || source || ' ' || state || ' ' || message
    FROM environments_stream WHERE state <> 'running'
UNION ALL SELECT 'error ' || key_text || ' ' || message
    FROM errors_syncerror WHERE state IN ('open', 'retrying')
UNION ALL SELECT 'queued ' || key_text FROM sync_queuedchange
"""


def password_in(said: str) -> str:
    """The administrator's password in what a supervisor printed."""
    found = re.search(r"Password: +(\S+)$", said, re.MULTILINE)
    assert found, said
    return found[1]


class Portal:
    """A portal that runs somewhere on this machine, by its data directory."""

    def __init__(self, address: str, data: Path) -> None:
        self.address = address
        self.data = data
        self.environ = {
            name: text for name, text in os.environ.items() if name not in OURS
        } | {"DUALWRITE_DATA": str(self.data)}
        self._sessions: dict[str, psycopg.Connection[Any]] = {}

    def sql(self, database: str = "") -> psycopg.Connection[Any]:
        """A session of the superuser: with the portal's own database, or with
        `sample_erp` or `sample_crm`."""
        if database not in self._sessions:
            known = json.loads((self.data / "embedded.json").read_text())
            other = {"dbname": database} if database else {}
            dsn = make_conninfo(known["database_url"], **other)
            session = psycopg.connect(dsn, autocommit=True)
            session.execute(f"SET statement_timeout = '{STATEMENT_SECONDS}s'")
            self._sessions[database] = session
        return self._sessions[database]

    def value(
        self, database: str, query: str, parameters: Sequence[object] = ()
    ) -> Any:
        """The first column of the first row, or None."""
        found = self.sql(database).execute(query, parameters).fetchone()  # type: ignore[call-overload]
        return None if found is None else found[0]

    def map_id(self, name: str) -> int:
        query = "SELECT id FROM maps_tablemap WHERE name = %s"
        return int(self.value("", query, [name]))

    def settle(self) -> None:
        """Wait until every map runs, no error is open and nothing is queued."""

        def unsettled() -> list[str]:
            return [row[0] for row in self.sql().execute(UNSETTLED).fetchall()]

        wait_until(
            lambda: not unsettled(),
            SETTLE_SECONDS,
            lambda: f"everything runs and is carried over: {unsettled()[:10]}",
            poll=0.2,
        )

    def dw(self, *arguments: str, ends: int = 0) -> None:
        """Run one command of the command line, which must end with this code."""
        self.manage("dw", *arguments, ends=ends, seconds=COMMAND_SECONDS)

    def manage(
        self, *arguments: str, ends: int = 0, seconds: float = START_SECONDS
    ) -> None:
        """Run one of Django's commands, which must end with this code."""
        ended = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            check=False,
            timeout=seconds,
        )
        assert ended.returncode == ends, (arguments, ended.returncode)

    def close(self) -> None:
        """End the sessions."""
        for session in self._sessions.values():
            session.close()


class RunningPortal(Portal):
    """A supervisor on a data directory of its own, with the sample companies."""

    def __init__(self, address: str) -> None:
        super().__init__(address, directory(memory()) / "var")
        self.data.mkdir()
        self.output = self.data.parent / "output.txt"
        port = self.address.rpartition(":")[2]
        with self.output.open("w") as to:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "portal.supervisor", "--port", port],
                cwd=ROOT,
                env=self.environ,
                stdin=subprocess.DEVNULL,
                stdout=to,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def said(self) -> str:
        """What the supervisor has printed."""
        return self.output.read_text()

    @property
    def password(self) -> str:
        """The administrator's password, as the supervisor prints it."""
        return password_in(self.said)

    def wait_until_up(self) -> None:
        """Return when the pages answer and every sample map runs."""
        wait_until(
            lambda: "Password:" in self.said or self.process.poll() is not None,
            START_SECONDS,
            lambda: f"the portal starts: {self.said}",
        )
        assert self.process.poll() is None, self.said
        self.settle()

    def recover(self) -> None:
        """After a failed test: let the next one find everything running."""
        for state, *command in (
            ("paused", "resume"),
            ("not_running", "run", "--skip-initial-sync"),
        ):
            query = "SELECT name FROM maps_tablemap WHERE state = %s"
            if names := [row[0] for row in self.sql().execute(query, [state])]:
                self.dw(*command, *names)
        self.sql().execute(
            "UPDATE errors_syncerror SET state = 'dismissed', not_before = NULL"
            " WHERE state IN ('open', 'retrying')"
        )

    def logs(self, characters: int = 1500) -> str:
        """The ends of all logs, for messages of failed tests."""
        return "\n".join(
            f"--- {log.name} ---\n{log.read_text()[-characters:]}"
            for log in sorted((self.data / "log").glob("*.log"))
        )

    def stop(self) -> None:
        """End everything that was started, orderly if possible."""
        self.close()
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
