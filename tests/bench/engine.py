"""The engine in processes of its own, as workers run it."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing.context import SpawnProcess
from multiprocessing.synchronize import Event
from typing import Any, Protocol

from portal.history.recording import Recorder
from syncengine.connectors.base import Connector
from syncengine.connectors.registry import connector_for
from syncengine.initial import copy_chunk, plan_leg
from syncengine.live import LiveSettings, LiveStream
from syncengine.mapping.model import Direction, LegalEntityPair, Side, TableMap
from syncengine.ports import Carried, LegMode
from tests.bench import history
from tests.bench.live_measures import Flow, Running, Ways, mapped_tables
from tests.bench.maps import LINK, LINKED, MAPPED, Link
from tests.bench.peak import peak_megabytes
from tests.engine.memory import MemoryState, MemoryStream
from tests.servers import PostgresServer

START_SECONDS = 60.0
SOURCES = {"L": Side.FINOPS, "R": Side.DATAVERSE}
_context = multiprocessing.get_context("spawn")


class Linked(Protocol):
    """What a live stream is told: maps and how to reach both sides. Travels to other
    processes."""

    @property
    def maps(self) -> Sequence[TableMap]: ...

    @property
    def legal_entities(self) -> Sequence[LegalEntityPair]: ...

    def connector(self, side: Side) -> Connector: ...


class LiveProcess:
    """One live stream in a worker process: loaded first, then let go at once."""

    def __init__(self, link: Linked, side: Side, *, synchronous: bool = False) -> None:
        self._link, self._side = link, side
        self._synchronous = synchronous
        self._spawn()

    @property
    def pid(self) -> int:
        """The process that streams."""
        return self._process.pid or 0

    def enable(self) -> None:
        """Stream from now on."""
        self._go.set()
        self._await(self._ready, "streaming")

    def disable(self) -> None:
        """End the stream; the source keeps what comes. Another process stands by."""
        self.end()
        self._spawn()

    def end(self) -> None:
        """End the process; raises when it met errors."""
        self._stop.set()
        self._go.set()
        self._process.join(START_SECONDS)
        if self._process.is_alive():
            self._process.kill()
            raise RuntimeError("the live stream did not end")
        if self._process.exitcode:
            raise RuntimeError("the live stream failed; its words are above")

    def _spawn(self) -> None:
        self._loaded, self._go, self._ready, self._stop = (
            _context.Event() for _ in range(4)
        )
        self._process: SpawnProcess = _context.Process(
            target=_stream,
            args=(
                self._link,
                self._side,
                self._synchronous,
                self._loaded,
                self._go,
                self._ready,
                self._stop,
            ),
        )
        self._process.start()
        self._await(self._loaded, "loaded")

    def _await(self, event: Event, what: str) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not event.wait(0.2):
            if not self._process.is_alive() or time.monotonic() > deadline:
                raise RuntimeError(f"the live stream was not {what}")


class _Stream(MemoryStream):
    """Says when the stream has taken its configuration."""

    ready: Event
    recorder: Recorder | None = None

    def keeps_history(self) -> bool:
        return self.recorder is not None and self.recorder.keeps()

    def carried(self, carried: Carried) -> None:
        if self.recorder is not None:
            self.recorder.take(carried)

    def acknowledge(self, revision: int, position: str) -> None:
        super().acknowledge(revision, position)
        self.ready.set()


def _stream(
    link: Linked,
    side: Side,
    synchronous: bool,
    loaded: Event,
    go: Event,
    ready: Event,
    stop: Event,
) -> None:
    state = MemoryState(link.maps, link.legal_entities)
    for number in range(1, len(link.maps) + 1):
        state.set_mode(number, LegMode.LIVE)
    stream = _Stream(state, side)
    stream.recorder = history.recorder()
    if stream.recorder is not None:
        for key, leg in state.legs.items():
            state.legs[key] = replace(leg, history=True)
    stream.ready = ready
    source, target = (
        connector_for(replace(link.connector(one).settings, local_commits=synchronous))
        for one in (side, side.other)
    )
    settings = LiveSettings(synchronous=synchronous)
    live = LiveStream(LINK, source, target, stream, stream, settings)
    loaded.set()
    go.wait()
    live.run(stop.is_set)
    if stream.recorder is not None:
        stream.recorder.close()
    if state.errors or state.broken:
        raise SystemExit(
            f"errors: {list(state.errors.values())[:3]} {state.broken[:3]}"
        )


@contextmanager
def engine(on: PostgresServer, ways: Ways) -> Iterator[Running]:
    """The mapped tables, kept in step by the engine."""
    with mapped_tables(on) as (erp, crm):
        link = Link(MAPPED, erp.dsn, crm.dsn)
        link.install()
        processes: dict[str, LiveProcess] = {}
        try:
            for prefix in ways:
                processes[prefix] = LiveProcess(link, SOURCES[prefix])
                processes[prefix].enable()
            flows: dict[str, Flow] = dict(processes)
            yield Running(erp, crm, flows)
        finally:
            for process in processes.values():
                process.end()


@dataclass(frozen=True)
class Copied:
    """What an initial copy did."""

    seconds: float
    counts: dict[str, int]
    megabytes: float


def initial_copy(link: Link, workers: int) -> Copied:
    """Copy the map from FinOps to Dataverse with `workers` processes; timed from
    planning until the last chunk is done."""
    leg = link.leg(Direction.FINOPS_TO_DATAVERSE)
    tasks: Any = _context.Queue()
    results: Any = _context.Queue()
    go = _context.Event()
    pool = [
        _context.Process(target=_copy, args=(link, tasks, results, go))
        for _ in range(workers)
    ]
    for process in pool:
        process.start()
    for _ in pool:
        results.get(timeout=START_SECONDS)
    began = time.monotonic()
    chunks: Sequence[Any] = plan_leg(link.connector(Side.FINOPS), leg)
    for chunk in chunks:
        tasks.put(chunk)
    for _ in pool:
        tasks.put(None)
    go.set()
    counts: dict[str, int] = {}
    memory: list[int] = []
    seconds = 0.0
    for _ in range(len(chunks) + len(pool)):
        found = _result(results, pool)
        if "kilobytes" in found:
            memory.append(found["kilobytes"])
            continue
        seconds = time.monotonic() - began
        for name, number in found.items():
            counts[name] = counts.get(name, 0) + number
    for process in pool:
        process.join()
    return Copied(seconds, counts, max(memory) / 1024)


def _result(results: Any, pool: Sequence[SpawnProcess]) -> dict[str, int]:
    found: dict[str, int] | str = results.get(timeout=600)
    if isinstance(found, str):
        for process in pool:
            process.kill()
        raise RuntimeError(found)
    return found


def _copy(link: Link, tasks: Any, results: Any, go: Event) -> None:
    leg = link.leg(Direction.FINOPS_TO_DATAVERSE)
    journal = MemoryStream(MemoryState([link.table_map], LINKED), Side.FINOPS)
    source = link.connector(Side.FINOPS)
    writer = link.connector(Side.DATAVERSE).writer(LINK)
    results.put({})
    go.wait()
    try:
        while (chunk := tasks.get()) is not None:
            done = copy_chunk(source, writer, leg, chunk, map_id=1, journal=journal)
            results.put(
                {
                    name: getattr(done, name)
                    for name in ("exported", "inserted", "updated", "failed")
                }
            )
        results.put({"kilobytes": round(peak_megabytes() * 1024)})
    except Exception as error:
        results.put(f"copy failed: {error!r}")
        raise
    finally:
        writer.close()
