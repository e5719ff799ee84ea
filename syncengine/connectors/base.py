"""The contract every connector keeps (architecture section 5).

Free of SQL assumptions: values are canonical text (`mapping.schema`), positions are
opaque text that sorts with `Connector.position_key`, a write is one batch.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from syncengine.connectors.branch import TwoPhase
from syncengine.connectors.gate import CommitGate
from syncengine.mapping.compiled import CompiledLeg, Lookup, Row
from syncengine.mapping.digests import RowDigest
from syncengine.mapping.filters import Expression
from syncengine.mapping.model import HealthFinding, Side
from syncengine.mapping.schema import CompanyRule, EnvironmentSchema, TableSchema


@dataclass(frozen=True)
class ConnectionSettings:
    """How to reach one environment. `dsn` is secret: never log or show it.

    `local_commits` keeps our own commits there from waiting for other systems; needed
    where users' commits wait for us (synchronous mode), or both would wait for each
    other."""

    name: str
    side: Side
    connector: str
    dsn: str = field(repr=False)
    schema: str = "public"
    company: CompanyRule | None = None
    local_commits: bool = False


@dataclass(frozen=True, slots=True)
class Description:
    """What the environment says of itself. `fingerprint` stays the same over
    restarts and upgrades and differs in a copy restored elsewhere;
    `clock_skew_seconds` is their clock minus ours."""

    product: str
    version: str
    fingerprint: str
    capabilities: frozenset[str]
    clock_skew_seconds: float


@dataclass(frozen=True)
class ReadRequest:
    """A filtered, company-scoped read of one table. `columns` are column paths
    (lookup paths are joined); `company` limits to source codes in `companies` when
    set. Rows come back as tuples in the order of `columns`."""

    table: str
    columns: tuple[str, ...]
    lookups: tuple[Lookup, ...] = ()
    key: tuple[str, ...] = ()
    predicate: Expression | None = None
    company: CompanyRule | None = None
    companies: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ChunkRange:
    """A half-open key range (after, through] in the order of `ReadRequest.key`;
    None is open. `rows` is the planned count."""

    after: Row | None
    through: Row | None
    rows: int


BucketSum = tuple[int, int, int]
"""The rows whose keys fall into one bucket: its number, how many they are, and the sum
of the hashes of their images, which depends on no order."""


class Reader(Protocol):
    """Reads snapshots. One reader is used by one thread at a time."""

    def plan(self, request: ReadRequest, chunk_rows: int) -> Sequence[ChunkRange]:
        """Split the rows of `request` into key ranges of about `chunk_rows`."""

    def read(
        self, request: ReadRequest, chunk: ChunkRange | None = None
    ) -> Iterator[list[Row]]:
        """Stream the rows (of one chunk) in lists of some thousand; flat memory."""

    def read_sorted(self, request: ReadRequest) -> Iterator[list[Row]]:
        """Stream all rows ordered by `request.key`, compared as text by code point
        (nulls last), so that two systems give the same order."""

    def fetch(self, request: ReadRequest, keys: Sequence[Row]) -> list[Row]:
        """Present rows whose `request.key` columns equal one of `keys` (predicate
        and companies of the request apply too)."""

    can_digest: bool
    """True where the system can add up hashes of its rows itself (`digest`,
    `read_buckets`)."""

    def digest(
        self, request: ReadRequest, digest: RowDigest, part_rows: int
    ) -> Iterator[list[BucketSum]]:
        """Sums of the rows' hashes, in parts of about `part_rows` rows; two systems
        give equal sums for equal rows."""

    def read_buckets(
        self, request: ReadRequest, digest: RowDigest, buckets: Sequence[int]
    ) -> Iterator[list[Row]]:
        """Stream the rows that `digest` puts into these buckets."""

    def sample(self, request: ReadRequest, rows: int) -> list[Row]:
        """At most so many of the rows, whichever are found first."""

    def count(self, request: ReadRequest, at_most: int | None = None) -> int:
        """How many rows match; counted no further than `at_most`."""

    def limit(self, seconds: float | None) -> None:
        """Let no call from now on take longer, or again as long as it takes. One that
        would raises TransientError with code `cancelled`."""

    def query_text(self, request: ReadRequest) -> str:
        """How the system is asked for the rows of `request`, in its own words."""

    def resolve(
        self, lookup: Lookup, references: Sequence[str]
    ) -> dict[str, str | None]:
        """Reference values -> natural key values, for those that exist. Lookups of
        a source have one key each."""

    def invisible(self, transaction_ids: Collection[str]) -> set[str]:
        """Those of the source's newest transactions whose changes reads from now on
        may not show yet."""

    def position(self) -> str:
        """The position of the newest committed change right now."""

    def query(self, request: ReadRequest) -> str:
        """How the system is asked for the rows of `request`, for a person to read."""


class ChangeKind(StrEnum):
    """What happened to a row."""

    INSERT = "insert"
    UPDATE = "update"
    DELETE = "delete"
    TRUNCATE = "truncate"


@dataclass(frozen=True, slots=True)
class Relation:
    """The layout of changes of one table: column names as in the rows.
    `full_identity` is false when `old` carries only the key columns (others None)."""

    table: str
    columns: tuple[str, ...]
    full_identity: bool


@dataclass(slots=True)
class Change:
    """One row change. `new` is None for deletes, `old` for inserts. `incomplete`
    means `new` lacks a large value the source did not send: read the row instead."""

    relation: Relation
    kind: ChangeKind
    new: Row | None
    old: Row | None
    incomplete: bool = False


@dataclass(slots=True)
class Transaction:
    """One committed source transaction; `position` is where it ends, so a stream
    restarted from it begins with the next one. `size` is bytes received. `large` ones
    keep their changes outside memory (`SpooledChanges`): take them in portions.
    `before` is the last position before it: see `part_position`. `sign` is what was
    sent with `Connector.send_sign`, in a transaction without changes. `own` ones were
    written by the opposite stream, from changes behind the position `origin` of its
    source (empty: from anywhere)."""

    position: str
    transaction_id: str
    committed_at: datetime
    changes: Sequence[Change]
    size: int
    large: bool = False
    before: str = ""
    sign: str = ""
    own: bool = False
    origin: str = ""


def part_position(before: str, changes: int) -> str:
    """The position within a transaction after so many of its changes: after all
    positions of earlier transactions and before its own. A stream restarted from it
    begins with the transaction anew."""
    return f"{before}#{changes:010d}"


def part_of(position: str, before: str) -> int:
    """How many changes of the transaction `before` a position has behind it."""
    start, mark, changes = position.partition("#")
    return int(changes) if mark and start == before else 0


def is_part(position: str) -> bool:
    """Whether the position lies within a transaction."""
    return "#" in position


class ChangeStream(Protocol):
    """Committed transactions in commit order, without those of our own writers."""

    def receive(
        self, max_changes: int, max_bytes: int, timeout_seconds: float
    ) -> list[Transaction]:
        """Whole transactions until a limit is reached or no more is waiting; waits
        up to the timeout for the first. Empty when nothing came. Answers the
        server's keepalives. Raises OutageError when the connection is lost."""

    @property
    def seen_position(self) -> str:
        """Everything up to here has been received or was not for us."""

    def confirm(self, position: str) -> None:
        """Everything up to `position` is safe; the source may forget it."""

    def keepalive(self, *, ask: bool = False) -> None:
        """Tell the source we are alive; `ask` makes it tell its newest position."""

    def wake(self) -> None:
        """Have a waiting `receive` return now. The one call another thread may make."""

    def close(self) -> None:
        """End the stream; the position stays where it was confirmed."""


class OperationKind(StrEnum):
    """What to do with one target record."""

    UPSERT = "upsert"
    DELETE = "delete"


@dataclass(slots=True)
class Operation:
    """One record to write. `row` is the mapped row (None for deletes). `history` are
    earlier mapped images of the same record, oldest first: a target value equal to
    one of them may be overwritten, any other that differs from `row` is a conflict on
    that column. `update` says the record was there before the change: a target that
    lacks it has deleted it, which is a conflict too. `force` overwrites whatever is
    there; `only` limits the write to some slots of an existing record. `reference` is
    the caller's own number, given back in the outcome."""

    leg: CompiledLeg
    kind: OperationKind
    key: Row
    row: Row | None
    history: tuple[Row, ...] = ()
    update: bool = False
    force: bool = False
    only: frozenset[int] | None = None
    reference: int = 0


LOOKUP_CODES = frozenset({"lookup_not_found", "lookup_ambiguous"})
"""Codes of outcomes whose natural key finds no row, or several."""


class OutcomeKind(StrEnum):
    """What became of an operation."""

    INSERTED = "inserted"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    DELETED = "deleted"
    ABSENT = "absent"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class ColumnConflict:
    """A column both sides changed; values are as written on the target (references
    for lookups). `slot` is the index in the leg, or None when the record itself is
    contested (deleted on one side, changed on the other)."""

    slot: int | None
    base: str | None
    incoming: str | None
    present: str | None


@dataclass(slots=True)
class Outcome:
    """Outcome of one operation. `conflicts` lists columns left as they were;
    `references` the columns of a foreign key that led nowhere."""

    reference: int
    kind: OutcomeKind
    conflicts: tuple[ColumnConflict, ...] = ()
    code: str = ""
    column: str = ""
    message: str = ""
    remote: str = ""
    references: tuple[str, ...] = ()


@dataclass(slots=True)
class ApplyResult:
    """`committed` false means nothing was written: FAILED outcomes and conflicts say
    why. Settle the conflicts, take the failed records out, and apply again."""

    committed: bool
    outcomes: list[Outcome]


@dataclass(slots=True)
class LoadResult:
    """Counts of one bulk load; inserted + updated + unchanged + failed + deferred =
    given. Deferred rows wait for a reference: those in `begun` were inserted without
    it, those in `left` are there already and were not touched."""

    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    failures: list[tuple[Row, Outcome]] = field(default_factory=list)
    begun: list[Row] = field(default_factory=list)
    left: list[Row] = field(default_factory=list)


class WriteRefused(Exception):
    """The target refused the batch as a whole, for a reason in its data.

    Not an outage and not transient: the caller halves the batch until the refused
    records stand alone. `outcome` describes the refusal (code, column, message).
    """

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.message)
        self.outcome = outcome


class HeldRecord(Protocol):
    """A locked record of one side, for settling a conflict."""

    @property
    def row(self) -> Row | None:
        """The present row in the layout of the request, or None when absent."""

    @property
    def committed_at(self) -> datetime | None:
        """When the present row was last written, where the system tells."""

    def write(self, operations: Sequence[Operation]) -> list[Outcome]:
        """Write within the held transaction. Raises like `Writer.apply`."""


class Unit(Protocol):
    """An open write transaction that takes a large source transaction in portions."""

    def apply(self, operations: Sequence[Operation]) -> list[Outcome]:
        """Write one more portion. Raises like `Writer.apply`."""


class Writer(Protocol):
    """Writes batches under our mark, so that our own stream ignores them."""

    def apply(
        self,
        operations: Sequence[Operation],
        *,
        position: str | None = None,
        strict: bool = False,
        meanwhile: Callable[[], None] | None = None,
    ) -> ApplyResult:
        """Write all operations and, with them, the stream's position, or nothing.

        Operations on different records may be reordered (parents before children,
        deletes last, children first) unless `strict`, which keeps the given order.
        With a position the write is visible at once but durable only after `flush`:
        a crash of the target may undo it together with the position. Without one it
        is durable when this returns.
        A lookup that finds no row gives outcome FAILED with code `lookup_not_found`.
        `meanwhile` may be called while the target works on what it was sent last: for
        other work of the caller that does not use this writer and raises nothing.
        Raises WriteRefused, TransientError or OutageError; nothing is written then.
        """

    def unit(
        self, position: str, legs: Collection[CompiledLeg]
    ) -> AbstractContextManager[Unit]:
        """Write several portions of operations of `legs` and, at the end of the
        block, the position, or nothing: an error that leaves the block undoes all of
        it. Visible and durable as with `apply` and a position."""

    def flush(self) -> None:
        """Make everything applied so far durable. Raises OutageError."""

    def probe(self, operations: Sequence[Operation]) -> list[Outcome]:
        """Try each operation by itself, in order, and undo everything: the outcome of
        each, FAILED for those the target refuses."""

    def hold(
        self, request: ReadRequest, key: Row
    ) -> AbstractContextManager[HeldRecord]:
        """Lock one record (if it exists) and keep a transaction open under our mark;
        committed when the block ends well. Waits at most some seconds for the lock,
        then TransientError."""

    def load(
        self,
        leg: CompiledLeg,
        rows: Sequence[Row],
        *,
        insert_only: bool = False,
        defer: frozenset[int] = frozenset(),
    ) -> LoadResult:
        """Bulk upsert of mapped rows in one transaction under our mark: only rows
        that differ are written; refused rows are isolated and reported, all others
        committed. `insert_only` leaves existing rows alone (counted unchanged).
        A row whose lookup in a slot of `defer` finds nothing yet is deferred: it is
        inserted without that reference, or left alone if it exists; the caller loads
        it again when the other rows are there."""

    def position(self) -> str | None:
        """The position stored with the last applied batch of this stream."""

    def close(self) -> None:
        """Give the connection back."""


@dataclass(frozen=True, slots=True)
class PlannedObject:
    """Something that will be made or changed in an environment: what it is, in a
    person's words, and its name there."""

    kind: str
    name: str


@dataclass(frozen=True)
class InstallPlan:
    """What capture needs on one environment: `statements` run in order. Shown to the
    administrator before it is done, and printed as a script where rights lack.
    `objects` says by name what the statements make and change."""

    statements: tuple[str, ...]
    findings: tuple[HealthFinding, ...] = ()
    objects: tuple[PlannedObject, ...] = ()


@dataclass(frozen=True, slots=True)
class HeldLog:
    """What of its log a source keeps for a stream. `confirmed` is where the stream
    would go on; `unconfirmed_bytes` lie behind it, `retained_bytes` are kept on disk
    because of it. `lost` when the source has thrown some of it away already."""

    confirmed: str
    unconfirmed_bytes: int
    retained_bytes: int
    lost: bool


class Connector(Protocol):
    """One environment, seen through one product. Opening it makes no connection."""

    settings: ConnectionSettings

    def describe(self) -> Description:
        """Product, version, fingerprint, capabilities, clock. Raises OutageError
        (unreachable) or SetupError (`wrong_password`, `database_missing`)."""

    def tables(self, names: Sequence[str] | None = None) -> EnvironmentSchema:
        """Schemas of the named tables and of the tables they refer to; all without
        names. Missing tables are simply absent."""

    def reader(self) -> AbstractContextManager[Reader]:
        """A reader over its own connection."""

    def open_stream(
        self,
        link: str,
        position: str | None,
        *,
        prompt: bool = False,
        own: bool = False,
    ) -> ChangeStream:
        """The change stream of connection set `link` from `position` (None: from
        where the source remembers). `prompt` tells the source at once what is
        confirmed: its users wait for it. With `own` it also gives what the opposite
        stream wrote here (not copies and settlements)."""

    def send_sign(
        self, link: str, sign: str, sending: Callable[[], None] | None = None
    ) -> None:
        """Have the change streams of this environment give a transaction without
        changes that carries `sign`; `sending` is called right before it is made.
        Raises SetupError `sign_refused` where the account may not."""

    def writer(self, link: str, *, durable: bool = False) -> Writer:
        """A writer whose transactions carry the mark of `link`. With `durable` all it
        applies is durable at once, and `flush` has nothing left to do."""

    def gate(self, link: str) -> CommitGate:
        """The gate of synchronous mode: commits here wait for the stream of `link`."""

    def two_phase(self, link: str) -> TwoPhase:
        """Atomic writes of `link` on this side."""

    def plan_install(self, link: str, tables: Sequence[str]) -> InstallPlan:
        """What capture of `tables` still needs here, with a finding for everything
        that would keep `install` from making it."""

    def install(self, link: str, tables: Sequence[str]) -> None:
        """Carry the plan out. Raises SetupError with the script in details."""

    def uninstall(self, link: str) -> None:
        """Remove everything `install` made; the environment is as it was before."""

    def removal_script(self, link: str) -> str:
        """What an administrator runs there to remove everything `install` made for
        `link`, for where `uninstall` cannot come. Makes no connection."""

    def check(self, link: str, tables: Sequence[str]) -> list[HealthFinding]:
        """Findings for each missing prerequisite; empty means ready. Without a link,
        what every link would miss."""

    def fill_company(
        self, request: ReadRequest, rule: CompanyRule, code: str, limit: int
    ) -> int:
        """Give up to `limit` of the requested records that have no company this one;
        how many it were. No link is told: for systems that are not linked yet. Raises
        SetupError, among others `company_missing`."""

    def links(self) -> frozenset[str]:
        """The links for which something of ours is here, on this side."""

    def position_key(self, position: str) -> int:
        """A number that orders positions; differences are bytes of log."""

    def confirmed(self, link: str, position: str) -> bool:
        """True when the stream of `link` has carried over everything up to
        `position`."""

    def lag_bytes(self, link: str) -> int | None:
        """Bytes of the source's log held back for this stream, or None."""

    def held_log(self, link: str) -> HeldLog | None:
        """What of the log is kept for the stream; None when the source knows no such
        stream (any more). Raises OutageError."""

    def release_log(self, link: str) -> None:
        """Forget the stream, so that the log kept for it can go; `install` makes a new
        one that begins then. Raises OutageError."""


class ConnectorFactory(Protocol):
    """Makes a connector from settings; found in `syncengine.connectors.registry`."""

    def __call__(self, settings: ConnectionSettings) -> Connector: ...


TableSchemas = Mapping[str, TableSchema]
