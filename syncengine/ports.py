"""What the engine asks of its surroundings: the Journal and the Control.

The portal implements both on its database (`portal.sync`); tests use in-memory ones.
All methods may be called again after a crash with the same arguments and must then
have the same effect once.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from syncengine.latency import Latencies
from syncengine.mapping.compiled import Row
from syncengine.mapping.model import Direction, LegalEntityPair, Side, TableMap


class LegMode(StrEnum):
    """What the stream does with changes of one leg. `off`: drop. `queue`: keep in the
    journal. `drain`: replay the journal, queueing what comes meanwhile, then `live`.
    `live`: apply."""

    OFF = "off"
    QUEUE = "queue"
    DRAIN = "drain"
    LIVE = "live"


@dataclass(frozen=True)
class GuardRule:
    """When a wave of changes waits for approval: beyond a share of the table (0: never)
    and of so many rows at least, within the window."""

    deletes_percent: int = 20
    updates_percent: int = 0
    rows: int = 100
    window_seconds: int = 60

    def percent(self, kind: str) -> int:
        """The share for `delete` or `update`."""
        return self.deletes_percent if kind == "delete" else self.updates_percent


@dataclass(frozen=True)
class MassChange:
    """A wave: its kind (`delete`, `update`), how many rows it touches, of how many (at
    least) the table has, and the source keys of some."""

    kind: str
    count: int
    rows: int
    sample: tuple[Row, ...]


@dataclass(frozen=True)
class LegConfiguration:
    """One leg as the stream must treat it now. Changes at or before
    `queued_through` are already in the journal. `drain_after`: with mode drain, only
    start once the stream has received everything up to this position (the initial
    copy may have read up to there). `set_aside` says that changes of it are set
    aside, `replay` that they are to be carried over now. `fold` replays the queue as
    one chain per record (after an initial copy) instead of in commit order (after a
    pause).

    A map has one leg a direction with `scope` 0, and further ones while companies join
    it: each carries its own `companies` (FinOps codes) alone, with a queue of its own.
    None stands for every linked company. Waves of changes beyond `guard` are held,
    unless they lie at or before `approved_through`. With `history`
    the journal is told what was carried."""

    leg_id: int
    map_id: int
    direction: Direction
    mode: LegMode
    table_map: TableMap
    queued_through: str = ""
    drain_after: str = ""
    fold: bool = False
    scope: int = 0
    companies: tuple[str, ...] | None = None
    set_aside: bool = False
    replay: bool = False
    guard: GuardRule | None = None
    approved_through: str = ""
    history: bool = False


@dataclass(frozen=True, slots=True)
class CarriedChange:
    """A record that was written on the target. `kind` is `inserted`, `updated` or
    `deleted`, `phase` like that of a failure. `before` and `after` hold what was
    written by column path of the target; `before` has the image before the change as
    the source told it, and is empty where there was none. `changes` of the source came
    to this one write; `position` is that of the last (empty: the present row was
    written)."""

    map_id: int
    direction: Direction
    version: str
    kind: str
    phase: str
    position: str
    transaction_id: str
    committed_at: datetime
    source_key: Row
    target_key: Row
    company: bool
    before: Mapping[str, str | None]
    after: Mapping[str, str | None]
    changes: int = 1


class Carried(Protocol):
    """What one commit on the target brought. Telling its size costs next to nothing;
    it is put into words only by who asks for that, in any thread."""

    @property
    def described(self) -> bool:
        """False where records were only counted (`Journal.keeps_history`)."""

    def counts(self) -> Mapping[tuple[int, Direction], int]:
        """Records by map and direction."""

    def describe(self) -> Iterator[CarriedChange]:
        """Each record."""


@dataclass(frozen=True)
class LogBudget:
    """How much of its log a source may have to keep for a stream. Where the target
    does not answer for `spool_after_seconds`, or while more than `spool_bytes` are
    kept, changes go into the journal instead; beyond `limit_bytes` the source is
    released, and changes are lost to the stream (`Control.gap`)."""

    spool_after_seconds: float = 600.0
    spool_bytes: int = 1024**3
    limit_bytes: int = 10 * 1024**3


@dataclass(frozen=True)
class StreamConfiguration:
    """All legs of one stream at one revision, and the linked companies. `legs` has
    only legs whose direction starts at the stream's source; `reverse_legs` the
    opposite ones, for settling conflicts."""

    revision: int
    legs: tuple[LegConfiguration, ...]
    reverse_legs: tuple[LegConfiguration, ...]
    legal_entities: tuple[LegalEntityPair, ...]


@dataclass(frozen=True)
class RecordFailure:
    """A record that could not be carried over, for the error list.

    `key` is the integration key on the source (company first); `source_row` the
    present or changed source row by column; `mapped_row` what would have been written,
    as far as it got. `group` binds the records of one parked source transaction.
    `phase` is `live`, `initial`, `queue` or `retry`; a retry that fails leaves phase,
    group and position as they were. `awaits` is the token of the record it waits for
    (`syncengine.awaiting`), where that is known. With `polled` it is tried again by
    itself whatever its code.
    """

    map_id: int
    direction: Direction
    phase: str
    key: tuple[str | None, ...]
    code: str
    message: str
    column: str = ""
    remote: str = ""
    operation: str = "upsert"
    group: str = ""
    position: str = ""
    source_row: Mapping[str, str | None] = field(default_factory=dict)
    mapped_row: Mapping[str, str | None] = field(default_factory=dict)
    awaits: str = ""
    polled: bool = False


@dataclass(frozen=True)
class QueuedEntry:
    """One change kept for later, in commit order (`position`, `ordinal`)."""

    map_id: int
    direction: Direction
    position: str
    ordinal: int
    transaction_id: str
    committed_at: datetime
    kind: str
    key: tuple[str | None, ...]
    columns: tuple[str, ...]
    new: Row | None
    old: Row | None
    entry_id: int = 0
    scope: int = 0


@dataclass(frozen=True)
class RetryRequest:
    """A record whose open error should be tried again from its present source row.
    `operation` is what failed: `upsert` or `delete`."""

    error_id: int
    map_id: int
    direction: Direction
    key: tuple[str | None, ...]
    operation: str = "upsert"


@dataclass(frozen=True)
class ConflictRecord:
    """A conflict and how it was settled; values by column name.

    `winner` is a side or `undecided` (policy manual): then a later record of the same
    map, FinOps key and columns takes this one's place. `column` is empty where the
    record itself is contested. `finops_row` and `dataverse_row` are both versions
    before settling, by column path (None: that side lacks the record), with the
    moments of their last writes where the systems tell; `finops_columns` and
    `dataverse_columns` the contested columns on each side. `reason` says in a sentence
    why the winner won.
    """

    map_id: int
    direction: Direction
    key: tuple[str | None, ...]
    policy: str
    winner: str
    column: str
    base: str | None
    source_value: str | None
    target_value: str | None
    finops_key: tuple[str | None, ...] = ()
    dataverse_key: tuple[str | None, ...] = ()
    finops_columns: tuple[str, ...] = ()
    dataverse_columns: tuple[str, ...] = ()
    finops_row: Mapping[str, str | None] | None = None
    dataverse_row: Mapping[str, str | None] | None = None
    finops_written_at: datetime | None = None
    dataverse_written_at: datetime | None = None
    reason: str = ""


@dataclass(frozen=True)
class LoopFound:
    """Two rules that undo each other: the maps to pause, both rules in words, and the
    record and column where it was noticed."""

    map_ids: tuple[int, ...]
    rules: tuple[str, ...]
    key: tuple[str | None, ...]
    column: str
    message: str


@dataclass(frozen=True)
class Undecided:
    """A conflict that waits for a person: nothing may overwrite these columns (none:
    the whole record is contested)."""

    finops_key: tuple[str | None, ...]
    dataverse_key: tuple[str | None, ...]
    finops_columns: tuple[str, ...]
    dataverse_columns: tuple[str, ...]


@dataclass(frozen=True)
class CanaryState:
    """The last sign of life that went from the source through the stream to the
    target, how long that took, and why none can be sent."""

    seconds: float | None = None
    passed_at: datetime | None = None
    problem: str = ""


@dataclass
class StreamReport:
    """The stream's pulse, about once a second. `written` counts records by map id
    and outcome since the last report, `latencies` the transactions since then by the
    time they took; `last_change` by map id. `canary` is the last sign of life that
    went through to the target, where the stream works.
    `retained_bytes` is what of its log the source keeps on its disk because of us."""

    state: str
    position: str
    lag_seconds: float | None
    lag_bytes: int | None
    message: str = ""
    written: Mapping[int, Mapping[str, int]] = field(default_factory=dict)
    last_change: Mapping[int, datetime] = field(default_factory=dict)
    canary: CanaryState | None = None
    retained_bytes: int | None = None
    latencies: Latencies | None = None


class Journal(Protocol):
    """Keeps what must not be lost: failures, queued changes, conflicts, progress."""

    def record_failures(self, failures: Sequence[RecordFailure]) -> None:
        """Open (or count up) one error per map, direction and key. Durable when it
        returns."""

    def open_codes(self) -> Mapping[tuple[int, Direction], frozenset[str]]:
        """Codes of the open errors of each leg of the connection set; legs without
        errors are left out. Cheap, however many errors there are."""

    def open_among(
        self, map_id: int, direction: Direction, keys: Collection[Row]
    ) -> set[Row]:
        """Those of `keys` that have an open error."""

    def wake(self, map_id: int, direction: Direction, awaited: Collection[str]) -> None:
        """Make open errors that wait for one of these records due for a retry now; of
        those that wait for `FREED` a portion, the longest untried first."""

    def close_failures(
        self,
        map_id: int,
        direction: Direction,
        keys: Sequence[Row],
        state: str,
        *,
        through: Sequence[str] = (),
    ) -> None:
        """Close open errors of these keys as `superseded` or `resolved`. Records that
        were held back by the last one of their transaction become due for a retry.
        `through` has for each key the position of the change that was written (empty:
        the present row): the error of a later change stays open."""

    def retries(self, limit: int) -> Sequence[RetryRequest]:
        """Errors of this stream whose retry is asked for or due, and that are still
        open."""

    def retry_unless_closed(
        self, map_id: int, direction: Direction, keys: Sequence[Row]
    ) -> None:
        """Open errors of these records are about to be closed. Those that are not,
        within a minute and whatever ends meanwhile, become due for a retry."""

    def put_off(self, error_ids: Sequence[int]) -> None:
        """Retries of these open errors could not even begin: they wait on, longer."""

    def rename_failures(self, keys: Mapping[int, Row]) -> None:
        """Records whose key was not known when they failed have it now, by error. One
        that has an open error under it already keeps that one."""

    def enqueue(self, entries: Sequence[QueuedEntry]) -> None:
        """Keep entries and move each leg's `queued_through` with them, in one
        transaction; entries at or before `queued_through` are ignored."""

    def queued(self, leg: LegConfiguration, limit: int) -> Sequence[QueuedEntry]:
        """The oldest entries in commit order, whole source transactions. With
        `leg.fold`, all entries of the first `limit` keys, grouped by key."""

    def queued_kinds(self, leg: LegConfiguration) -> Mapping[str, int]:
        """How many changes of each kind wait that nobody has approved."""

    def dequeue(self, leg: LegConfiguration, entry_ids: Sequence[int]) -> None:
        """Forget entries that were applied or recorded as failures."""

    def queued_together(
        self, legs: Sequence[LegConfiguration], limit: int
    ) -> Sequence[QueuedEntry]:
        """The oldest entries of several legs in commit order, whole source
        transactions of all of them."""

    def set_aside_keys(self, leg: LegConfiguration) -> set[Row]:
        """Keys of the leg that have changes set aside."""

    def set_aside(
        self, leg: LegConfiguration, keys: Sequence[Row] | None, limit: int
    ) -> Sequence[QueuedEntry]:
        """Changes set aside of these keys, or of the first `limit` keys; grouped by
        key, in commit order."""

    def forget_set_aside(self, leg: LegConfiguration, entry_ids: Sequence[int]) -> None:
        """Forget changes set aside that were carried over or recorded as failures."""

    def remember_tables(self, side: Side, tables: Mapping[str, Any]) -> None:
        """Keep the description of tables (JSON, by name) of a side."""

    def remembered_tables(self, side: Side) -> Mapping[str, Any]:
        """What was kept of a side."""

    def record_conflicts(self, conflicts: Sequence[ConflictRecord]) -> None:
        """Write to the conflict log. An undecided one is told to both streams by a
        new revision."""

    def keep_doubts(self, records: Sequence[tuple[int, Row]]) -> None:
        """Keep the records (map and key) this stream has found to differ and still
        has to look at, instead of those kept before."""

    def doubts(self) -> Sequence[tuple[int, Row]]:
        """What `keep_doubts` kept."""

    def undecided(self, map_id: int) -> Sequence[Undecided]:
        """The conflicts of a map that wait for a person."""

    def close_undecided(
        self, map_id: int, finops_key: Row, columns: Sequence[str] | None
    ) -> None:
        """Users settled it themselves: both sides agree again in these FinOps columns
        (none: the record is on both sides again, or on neither; None: everything about
        this record)."""

    def keeps_history(self) -> bool:
        """False while what is carried is only counted: it comes too fast to be kept.
        Asked before each commit."""

    def carried(self, carried: Carried) -> None:
        """Records of legs with `history` were written. Returns at once and never
        raises: what cannot be kept is left out, and counted as such."""

    def report(self, report: StreamReport) -> None:
        """Take the stream's pulse."""

    def event(self, kind: str, message: str, **details: Any) -> None:
        """Write to the activity log, in the name of the system."""

    def alert(
        self,
        kind: str,
        message: str,
        *,
        map_id: int | None = None,
        severity: str = "warning",
        **details: Any,
    ) -> None:
        """Tell people, once while it lasts: `info`, `warning` or `error`, about the
        stream or one of its maps."""

    def clear_alert(self, kind: str, *, map_id: int | None = None) -> None:
        """The cause of an alert is over; nothing happens where none is open."""


class Control(Protocol):
    """Says what the stream should do."""

    def loop_found(self, loop: LoopFound) -> None:
        """Rules undo each other: pause the maps and tell people."""

    def revision(self) -> int:
        """The newest revision of the configuration; cheap, asked many times a
        second. Rises with every change of a map's state, version or company list,
        and when a retry is asked for."""

    def configuration(self) -> StreamConfiguration:
        """The present configuration."""

    def acknowledge(self, revision: int, position: str) -> None:
        """From `position` on the stream behaves as `revision` says."""

    def drained(self, leg: LegConfiguration) -> bool:
        """The leg's queue is empty: turn it live, and the map Running once all its
        legs are. False if its mode was changed meanwhile (then nothing happens)."""

    def hold(self, leg: LegConfiguration, wave: MassChange) -> None:
        """Queue the leg's changes from now on, until somebody approves or rejects the
        wave."""

    def schema_broken(self, leg: LegConfiguration, code: str, message: str) -> None:
        """A live leg's tables no longer fit the map: queue from now on, say why, and
        drain as soon as they fit again (mode `drain`)."""

    def replayed(self, leg: LegConfiguration) -> None:
        """Nothing of the leg is set aside any more."""

    def budget(self) -> LogBudget:
        """What the source's log may cost; asked now and then."""

    def confirming(self, position: str) -> None:
        """From now on the source may be told to forget everything up to here."""

    def confirmed(self) -> str:
        """The furthest position of `confirming`."""

    def spool(self, reason: str) -> None:
        """The target does not answer: live legs of this stream queue from now on.
        Their queues may come to hold what the target has already (`unspool`)."""

    def unspool(self, position: str) -> None:
        """The target is back and holds everything up to `position`: forget what was
        queued up to there by `spool`; the rest is drained."""

    def gap(self, reason: str) -> None:
        """Changes of the source were lost to this stream: its maps in use must be
        compared. Durable when it returns."""

    def truncated(self, tables: Sequence[str]) -> None:
        """Tables of the source were emptied without a change for each row: the maps
        that carry them over must be compared."""
