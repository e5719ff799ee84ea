"""What is done to a world, and the schedule that a seed makes of it."""

from __future__ import annotations

import copy
import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import psycopg
import redis

from tests.chaos import tables
from tests.chaos.world import SERVERS, WORKERS, World

Strike = Callable[[World, Random], str]
"""Does it and says to what; the cure is put off with `World.later`."""

SIDES = ("erp", "crm")
LINKS = ("erp", "crm", "portal", "broker")
STOPPABLE = ("ledger", "visits", "notes", "terms")
"""Maps whose copy cannot undo what somebody did while they stood: their records are
never deleted, and only one side changes them."""


@dataclass(frozen=True)
class Fault:
    """One kind of fault. `weight` is how often it is drawn; `after` the most seconds
    until the next one."""

    name: str
    strike: Strike
    weight: float = 1.0
    after: float = 3.0


def kill_worker(world: World, random: Random) -> str:
    name = random.choice(WORKERS)
    child = world.children[name]
    whole = random.random() < 0.5
    (child.kill if whole else child.kill_main)()
    world.later(random.uniform(0.2, 3), lambda: world.start_child(name))
    return f"{name}, {'all its processes' if whole else 'its main process'}"


def kill_pool_process(world: World, random: Random) -> str:
    name = random.choice(WORKERS)
    found = world.children[name].offspring()
    if not found:
        return f"{name}: nothing there"
    os.kill(random.choice(found), signal.SIGKILL)
    return name


def end_worker(world: World, random: Random) -> str:
    name = random.choice(WORKERS)
    child = world.children[name]
    child.signal(signal.SIGTERM)

    def over() -> None:
        child.kill()
        world.start_child(name)

    world.later(random.uniform(3, 12), over)
    return name


def freeze_worker(world: World, random: Random) -> str:
    name = random.choice(WORKERS)
    child = world.children[name]
    if child.popen is None:
        return f"{name}: nothing there"
    group = child.popen.pid
    seconds = random.uniform(1, 12)
    _signal_group(group, signal.SIGSTOP)
    world.later(seconds, lambda: _signal_group(group, signal.SIGCONT))
    return f"{name} for {seconds:.0f} s"


def _signal_group(group: int, number: signal.Signals) -> None:
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return


def kill_beat(world: World, random: Random) -> str:
    world.children["beat"].kill()
    world.later(random.uniform(0.2, 5), lambda: world.start_child("beat"))
    return "beat"


def kill_web(world: World, random: Random) -> str:
    child = world.children["web"]
    whole = random.random() < 0.5
    found = child.offspring()
    if whole or not found:
        child.kill()
        world.later(random.uniform(0.2, 3), lambda: world.start_child("web"))
        return "web, all its processes"
    os.kill(random.choice(found), signal.SIGKILL)
    return "web, one process"


def end_backends(world: World, random: Random) -> str:
    """Sessions of the product and of users alike, walsenders too."""
    server = random.choice(SERVERS)
    number = random.choice((1, 2, 5, 1000))
    try:
        ended = world.rows(
            server,
            "SELECT pg_terminate_backend(pid) FROM (SELECT pid FROM pg_stat_activity"
            " WHERE backend_type IN ('client backend', 'walsender')"
            " AND pid <> pg_backend_pid() ORDER BY random() LIMIT %s) found",
            number,
        )
    except psycopg.Error as error:
        return f"{server}: {error}".strip()
    return f"{server}, {len(ended)} sessions"


def kill_backend(world: World, random: Random) -> str:
    """SIGKILL to one session: the server restarts all of them."""
    server = random.choice(SERVERS)
    try:
        found = world.rows(
            server,
            "SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
            " AND backend_type IN ('client backend', 'walsender')",
        )
    except psycopg.Error as error:
        return f"{server}: {error}".strip()
    if not found:
        return f"{server}: no session"
    os.kill(random.choice(found)[0], signal.SIGKILL)
    return server


def kill_server(world: World, random: Random) -> str:
    server = random.choice(SERVERS)
    seconds = random.choice((0.0, random.uniform(0.5, 3), random.uniform(3, 10)))
    world.kill_server(server)
    world.later(seconds, lambda: world.start_server(server))
    return f"{server} for {seconds:.1f} s"


def stop_server(world: World, random: Random) -> str:
    server = random.choice(SERVERS)
    seconds = random.uniform(0, 5)
    world.clusters[server].stop()
    world.later(seconds, lambda: world.start_server(server))
    return f"{server} for {seconds:.1f} s"


def flush_broker(world: World, random: Random) -> str:
    with redis.Redis.from_url(world.valkey.url()) as broker:
        try:
            broker.flushall()
        except redis.RedisError as error:
            return str(error)
    return "FLUSHALL"


def kill_broker(world: World, random: Random) -> str:
    seconds = random.uniform(0, 4)
    world.valkey.kill()
    world.later(seconds, world.start_valkey)
    return f"for {seconds:.1f} s"


def fill_broker(world: World, random: Random) -> str:
    """It takes nothing more: every write is refused."""
    seconds = random.uniform(1, 6)

    def limit(size: str) -> None:
        with redis.Redis.from_url(world.valkey.url()) as broker:
            broker.config_set("maxmemory", size)

    try:
        limit("1")
    except redis.RedisError as error:
        return str(error)

    def over() -> None:
        try:
            limit("0")
        except redis.RedisError:
            return  # it was killed meanwhile: a new one has no limit

    world.later(seconds, over)
    return f"for {seconds:.1f} s"


def disturb_link(world: World, random: Random) -> str:
    """Cut, stall, slow, half-open, refuse."""
    link = random.choice(LINKS)
    mode = random.choice(("cut", "cut", "stall", "half", "slow", "refuse"))
    if mode == "cut":
        world.order(link, "cut")
        return f"{link} cut"
    seconds = random.uniform(1, 20) if mode == "stall" else random.uniform(1, 8)
    world.order(link, mode)

    def over() -> None:
        world.order(link, "pass")
        if mode == "half":
            world.order(link, "cut")

    world.later(seconds, over)
    return f"{link} {mode} for {seconds:.1f} s"


def fill_disk(world: World, random: Random) -> str:
    if not world.disk.mounted:
        return "left out: no mounts here"
    seconds = random.uniform(1, 6)
    taken = world.disk.fill()
    world.later(seconds, world.disk.free)
    return f"the journal's tablespace, {taken >> 20} MB for {seconds:.1f} s"


def jump_clock(world: World, random: Random) -> str:
    if not world.clock.jumps:
        return "left out: libfaketime is not installed"
    name = random.choice(("portal", "erp", "crm"))
    offset = random.choice((-3600, -300, -5, 5, 300, 3600))
    world.clock.set(offset, name)
    seconds = random.uniform(2, 15)
    world.later(seconds, lambda: world.clock.set(0, name))
    return f"{name} by {offset:+d} s for {seconds:.0f} s"


def pause_map(world: World, random: Random) -> str:
    chosen = random.sample(tables.names(), random.choice((1, 1, 3)))
    said = _asked(world, "pause", *chosen)

    def over() -> None:
        world.ask("resume", *chosen)

    world.later(random.uniform(0.5, 8), over)
    return f"{', '.join(chosen)}{said}"


def copy_map(world: World, random: Random) -> str:
    """Stopped, and run again with an initial sync."""
    name = random.choice(STOPPABLE)
    said = _asked(world, "stop", name)

    def over() -> None:
        world.ask("run", name, "--master", _master(name))

    world.later(random.uniform(0, 4), over)
    return f"{name} stopped and copied anew{said}"


def edit_map(world: World, random: Random) -> str:
    """A new version in the middle; then a copy."""
    name = random.choice(STOPPABLE)
    said = _asked(world, "stop", name)
    document = copy.deepcopy(world.document)
    entry = next(one for one in document["maps"] if one["name"] == name)
    parts = [int(part) for part in entry["version"].split(".")]
    entry["version"] = ".".join(str(part) for part in (*parts[:3], parts[3] + 1))
    entry["on_error"] = random.choice(("record", "transaction"))
    code, _, err = world.apply(document)
    if code == 0:
        world.document = document

    def over() -> None:
        world.ask("run", name, "--master", _master(name))

    world.later(random.uniform(0, 3), over)
    return f"{name} {entry['version']}{said}{_words(err)}"


def retry_all(world: World, random: Random) -> str:
    return f"errors{_asked(world, 'retry', '--all')}"


def _master(name: str) -> str:
    return "dataverse" if name == "visits" else "finops"


def _asked(world: World, *arguments: str) -> str:
    code, _, err = world.ask(*arguments, "--json")
    return "" if code == 0 else _words(err)


def _words(err: str) -> str:
    lines = err.strip().splitlines()
    return f" ({lines[0][:100]})" if lines else ""


FAULTS: Sequence[Fault] = (
    Fault("kill worker", kill_worker, 3),
    Fault("kill pool process", kill_pool_process, 2),
    Fault("end worker", end_worker),
    Fault("freeze worker", freeze_worker),
    Fault("kill beat", kill_beat),
    Fault("kill web", kill_web),
    Fault("end sessions", end_backends, 3),
    Fault("kill backend", kill_backend, 1, 5),
    Fault("kill server", kill_server, 3, 6),
    Fault("stop server", stop_server, 1, 5),
    Fault("flush broker", flush_broker),
    Fault("kill broker", kill_broker),
    Fault("full broker", fill_broker),
    Fault("disturb link", disturb_link, 4, 5),
    Fault("full disk", fill_disk),
    Fault("clock jump", jump_clock),
    Fault("pause map", pause_map, 2),
    Fault("copy map", copy_map),
    Fault("edit map", edit_map),
    Fault("retry all", retry_all, 0.5),
)


@dataclass(frozen=True)
class Planned:
    """A fault, how long to wait before it, and the seed of what it chooses."""

    fault: Fault
    wait: float
    seed: str


def schedule(seed: str, number: int) -> list[Planned]:
    """The same for the same seed. Each kind comes once before any comes twice, in a
    run that has room for all."""
    random = Random(f"{seed} faults")
    first = list(FAULTS) if number >= len(FAULTS) else []
    weights = [fault.weight for fault in FAULTS]
    chosen: list[Any] = first + random.choices(FAULTS, weights, k=number - len(first))
    random.shuffle(chosen)
    planned, before = [], 1.0
    for place, fault in enumerate(chosen):
        wait = random.uniform(0.1, before)
        planned.append(Planned(fault, wait, f"{seed} fault {place}"))
        before = fault.after
    return planned
