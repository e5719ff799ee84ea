"""Everything a run needs, as processes of its own: three PostgreSQL servers, Valkey,
web, beat and workers, with proxies between, and whoever starts them again."""

from __future__ import annotations

import contextlib
import heapq
import itertools
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import yaml
from cryptography.fernet import Fernet
from psycopg import sql

from portal.embedded import launch
from portal.embedded.postgres import PostgresCluster, embedded_programs
from portal.embedded.valkey import ValkeyServer, embedded_program
from portal.supervisor.run import shared_memory
from tests.chaos import clock, tables
from tests.chaos.disk import SmallDisk
from tests.servers import directory, url
from tests.waiting import wait_until

ROOT = Path(__file__).resolve().parent.parent.parent
START_SECONDS = 120.0
SERVERS = ("erp", "crm", "portal")
WORKERS = ("w1", "w2")
SECRET = "chaos"
JOURNAL_TABLES = ("sync_queuedchange", "errors_syncerror")
SETTINGS = {
    # Processes are killed here, not the machine: what was written is in its memory.
    "fsync": "off",
    "max_wal_size": "256MB",
    "checkpoint_timeout": "2min",
    "wal_sender_timeout": "15s",
    "log_min_messages": "warning",
}


class Child:
    """A process of the portal, leader of its group, and whether it should run."""

    def __init__(self, name: str, line: list[str], log: Path) -> None:
        self.name = name
        self.line = line
        self.log = log
        self.popen: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        return self.popen is not None and self.popen.poll() is None

    def start(self, environ: dict[str, str]) -> None:
        with self.log.open("a") as to:
            self.popen = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *self.line],
                cwd=ROOT,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=to,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def kill(self) -> None:
        """SIGKILL to all of its processes at once."""
        if self.popen is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.popen.pid, signal.SIGKILL)
            self.popen.wait()

    def kill_main(self) -> None:
        """SIGKILL to its main process alone."""
        if self.popen is not None:
            self.popen.kill()
            self.popen.wait()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to its main process."""
        if self.running and self.popen is not None:
            self.popen.send_signal(number)

    def offspring(self) -> list[int]:
        """Living processes of its group but the main one."""
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or self.popen is None:
                continue
            with contextlib.suppress(OSError):
                words = (entry / "stat").read_text().rpartition(")")[2].split()
                if int(words[2]) == self.popen.pid and words[0] != "Z":
                    found.append(int(entry.name))
        return [pid for pid in found if self.popen and pid != self.popen.pid]


class World:
    """Start it, then have faults strike it. What ends is started again a while later,
    as a supervisor would; `tend` does what has come due."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.say = say
        self.home = directory()
        self.clusters: dict[str, PostgresCluster] = {}
        self.valkey = ValkeyServer(
            embedded_program(),
            self.home / "valkey",
            password=SECRET,
            log=self.home / "valkey.log",
        )
        self.children: dict[str, Child] = {}
        self.environ: dict[str, str] = {}
        self.disk = SmallDisk(self.home / "journal")
        self.clock = clock.Clock(self.home / "clock")
        self.web_port = launch.free_port()
        self._proxy: subprocess.Popen[str] | None = None
        self.proxies: dict[str, int] = {}
        self._console: subprocess.Popen[str] | None = None
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self.document: dict[str, Any] = {}

    # -- starting -------------------------------------------------------------------

    def start(self) -> None:
        """Servers, databases, portal, maps, in this order; all maps run at the end."""
        for name in SERVERS:
            self._start_server(name)
        self.valkey.start()
        self._start_proxy()
        self._make_databases()
        self._make_environ()
        self._manage("migrate", "--verbosity", "0")
        self.disk.use(self.dsn("portal"), JOURNAL_TABLES)
        for child in self._make_children():
            self.children[child.name] = child
            self.start_child(child.name)

    def _start_server(self, name: str) -> None:
        cluster = PostgresCluster(
            embedded_programs(),
            self.home / name,
            password=SECRET,
            log=self.home / f"{name}.log",
            settings=SETTINGS,
        )
        if not cluster.exists:
            cluster.create()
        if name != "portal":
            cluster.programs = self.clock.programs(cluster.programs, name)
        cluster.start()
        self.clusters[name] = cluster

    def _start_proxy(self) -> None:
        links = {name: cluster.port for name, cluster in self.clusters.items()}
        links["broker"] = self.valkey.port
        self._proxy = subprocess.Popen(
            [
                *("setpriv", "--pdeathsig", "KILL", sys.executable),
                *("-m", "tests.chaos.proxy"),
                *(f"{name}:{port}" for name, port in links.items()),
            ],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert self._proxy.stdout is not None
        self.proxies = json.loads(self._proxy.stdout.readline())

    def _make_databases(self) -> None:
        for name, cluster in self.clusters.items():
            with psycopg.connect(cluster.url(), autocommit=True) as server:
                server.execute(
                    sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name))
                )
                if name != "portal":
                    server.execute(
                        sql.SQL("CREATE ROLE {} LOGIN REPLICATION PASSWORD {}").format(
                            sql.Identifier(tables.ROLE), sql.Literal(tables.PASSWORD)
                        )
                    )
        for side, text in (("erp", tables.ERP), ("crm", tables.CRM)):
            with psycopg.connect(self.dsn(side), autocommit=True) as made:
                made.execute(text)  # type: ignore[call-overload]
                made.execute(tables.AUDIT)  # type: ignore[call-overload]
                for table in tables.APPENDED[side]:
                    made.execute(
                        sql.SQL(
                            "CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE"
                            " ON {} FOR EACH ROW EXECUTE FUNCTION audit_note()"
                        ).format(sql.Identifier(table))
                    )
                made.execute(_HAND_OVER)

    def _make_environ(self) -> None:
        port = self.proxies["portal"]
        self.environ = {
            **os.environ,
            "DATABASE_URL": url("127.0.0.1", port, "postgres", SECRET, "portal"),
            "REDIS_URL": f"redis://:{SECRET}@127.0.0.1:{self.proxies['broker']}/0",
            "SECRET_KEY": secrets.token_urlsafe(40),
            "FIELD_ENCRYPTION_KEYS": Fernet.generate_key().decode(),
            "DUALWRITE_DATA": str(self.home),
            "DJANGO_SETTINGS_MODULE": "portal.settings",
            "PYTHONWARNINGS": "default",
        }
        self.environ.pop("PYTEST_XDIST_WORKER", None)

    def _make_children(self) -> list[Child]:
        celery = [sys.executable, "-m", "celery", "-A", "portal"]
        workers = [
            Child(
                name,
                [
                    *(*celery, "worker", "-Q", "live,initial,default", "-c", "5"),
                    *("--hostname", f"{name}@%h", "-l", "INFO"),
                    *("--without-gossip", "--without-mingle"),
                ],
                self.home / f"{name}.log",
            )
            for name in WORKERS
        ]
        beat = Child(
            "beat",
            [
                *(*celery, "beat", "--schedule", str(self.home / "schedule")),
                *("--pidfile", "", "-l", "WARNING"),
            ],
            self.home / "beat.log",
        )
        web = Child(
            "web",
            [
                *(sys.executable, "-m", "gunicorn", "portal.wsgi"),
                *("--bind", f"127.0.0.1:{self.web_port}", "--workers", "1"),
                *("--worker-class", "gthread", "--threads", "4"),
                *("--no-control-socket", "--worker-tmp-dir", shared_memory()),
            ],
            self.home / "web.log",
        )
        return [*workers, beat, web]

    def start_child(self, name: str) -> None:
        """Start a process of the portal unless it runs."""
        child = self.children[name]
        if child.running:
            return
        role = {"beat": "beat", "web": "web"}.get(name, "worker")
        child.start({**self.environ, **self.clock.environ(), "DUALWRITE_PROCESS": role})

    # -- addresses ------------------------------------------------------------------

    def dsn(self, server: str) -> str:
        """How users, and we, reach a database: at the server itself."""
        return self.clusters[server].url(server)

    def product_dsn(self, side: str) -> str:
        """How the product reaches a side: through a proxy, as an ordinary role."""
        port = self.proxies[side]
        return url("127.0.0.1", port, tables.ROLE, tables.PASSWORD, side)

    # -- commands -------------------------------------------------------------------

    def _manage(self, *arguments: str) -> None:
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr

    def ask(self, *arguments: str) -> tuple[int, str, str]:
        """One `dw` command: exit code, standard output, standard error. Its process
        talks to the portal's database directly and is made anew when it broke."""
        console = self._console
        if console is None or console.poll() is not None:
            with (self.home / "console.log").open("a") as log:
                console = self._console = subprocess.Popen(
                    [
                        *("setpriv", "--pdeathsig", "KILL", sys.executable),
                        *("-m", "tests.jobs.console"),
                    ],
                    cwd=ROOT,
                    env={**self.environ, "DATABASE_URL": self.dsn("portal")},
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    text=True,
                    start_new_session=True,
                )
        assert console.stdin is not None
        assert console.stdout is not None
        try:
            console.stdin.write(json.dumps(arguments) + "\n")
            console.stdin.flush()
            line = console.stdout.readline()
        except OSError:
            line = ""
        if not line:
            self.end_console()
            return 1, "", "the command ended without an answer"
        code, out, err = json.loads(line)
        if "database does not answer" in out + err:
            self.end_console()
        return int(code), str(out), str(err)

    def ask_again(self, *arguments: str) -> tuple[int, str, str]:
        """`ask`, and once more where the connection it had was dead."""
        answer = self.ask(*arguments)
        return self.ask(*arguments) if self._console is None else answer

    def end_console(self) -> None:
        """End the process of `ask`; the next one starts another."""
        if self._console is not None:
            self._console.kill()
            self._console.communicate()
            self._console = None

    def must(self, *arguments: str, seconds: float = 60.0) -> Any:
        """`ask` until it succeeds; the JSON document."""
        found: list[tuple[int, str, str]] = []

        def done() -> bool:
            found.append(self.ask(*arguments, "--json"))
            return found[-1][0] == 0

        wait_until(
            lambda: self.tend() or done(),
            seconds,
            lambda: f"dw {' '.join(arguments)}: {found[-1]}\n{self.tails()}",
            poll=0.3,
        )
        return json.loads(found[-1][1])

    def rows(self, server: str, query: str, *parameters: object) -> list[Any]:
        """Rows of one of the databases."""
        with psycopg.connect(
            self.dsn(server), autocommit=True, connect_timeout=5
        ) as connection:
            return connection.execute(query, parameters).fetchall()  # type: ignore[call-overload]

    def execute(self, server: str, statement: str, values: Any) -> None:
        """One statement on one of the databases."""
        with psycopg.connect(self.dsn(server), autocommit=True) as connection:
            connection.execute(statement, values)  # type: ignore[call-overload]

    def apply(self, document: dict[str, Any]) -> tuple[int, str, str]:
        """`dw apply` of a document."""
        path = self.home / "maps.yaml"
        path.write_text(yaml.safe_dump(document, sort_keys=False))
        return self.ask("apply", str(path), "--json")

    # -- tending --------------------------------------------------------------------

    def later(self, seconds: float, action: Callable[[], None]) -> None:
        """Have `tend` do it when so many seconds have passed."""
        entry = (time.monotonic() + seconds, next(self._numbers), action)
        heapq.heappush(self._due, entry)

    def tend(self) -> None:
        """Do what has come due. The faults' own thread calls it all the time: servers
        end with the thread that started them."""
        while self._due and self._due[0][0] <= time.monotonic():
            heapq.heappop(self._due)[2]()

    def heal(self) -> None:
        """Everything runs, nothing is in the way: do all that was to be done later."""
        while self._due:
            heapq.heappop(self._due)[2]()
        for link in self.proxies:
            self.order(link, "pass")
        self.disk.free()
        self.clock.set(0)
        for name, cluster in self.clusters.items():
            if not cluster.running:
                self.start_server(name)
        self.start_valkey()
        for name in self.children:
            self.start_child(name)

    def order(self, link: str, mode: str) -> None:
        """Tell the proxy of a link what to do."""
        assert self._proxy is not None
        assert self._proxy.stdin is not None
        self._proxy.stdin.write(f"{link} {mode}\n")
        self._proxy.stdin.flush()

    def kill_server(self, name: str) -> None:
        """SIGKILL to every process of a PostgreSQL server."""
        cluster = self.clusters[name]
        for pid in launch.processes_in(cluster.data, "postgres"):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        cluster.kill()

    def start_server(self, name: str) -> None:
        """Start a PostgreSQL server again on its port."""
        cluster = self.clusters[name]
        if not cluster.running:
            port = cluster.port
            wait_until(lambda: launch.is_free(port), 20, f"port {port} is free")
            cluster.start(port)

    def start_valkey(self) -> None:
        """Start the broker again on its port, unless it runs."""
        if not self.valkey.running:
            port = self.valkey.port
            wait_until(lambda: launch.is_free(port), 20, f"port {port} is free")
            self.valkey.start(port)

    # -- the end --------------------------------------------------------------------

    def tails(self, characters: int = 1500) -> str:
        """The ends of all logs."""
        return "\n".join(
            f"--- {path.name} ---\n{path.read_text(errors='replace')[-characters:]}"
            for path in sorted(self.home.glob("*.log"))
        )

    def close(self) -> None:
        """End everything at once."""
        for child in self.children.values():
            child.kill()
        self.end_console()
        for name in self.clusters:
            self.kill_server(name)
        self.valkey.kill()
        if self._proxy is not None:
            self._proxy.kill()
            self._proxy.communicate()
        self.disk.close()


_HAND_OVER = f"""
DO $$
DECLARE one record;
BEGIN
    EXECUTE format('ALTER DATABASE %I OWNER TO {tables.ROLE}', current_database());
    FOR one IN SELECT relname FROM pg_class
        WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' LOOP
        EXECUTE format('ALTER TABLE %I OWNER TO {tables.ROLE}', one.relname);
    END LOOP;
END $$
"""
