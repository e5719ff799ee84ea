"""Table maps as frozen values: what files parse into and the compiler reads."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from syncengine.mapping.decisions import DecisionTable


class Side(StrEnum):
    """The two sides of a connection set."""

    FINOPS = "finops"
    DATAVERSE = "dataverse"

    @property
    def other(self) -> Side:
        """The opposite side."""
        return Side.DATAVERSE if self is Side.FINOPS else Side.FINOPS


class Direction(StrEnum):
    """The two directions a map can carry changes in; one compiled leg each."""

    FINOPS_TO_DATAVERSE = "finops_to_dataverse"
    DATAVERSE_TO_FINOPS = "dataverse_to_finops"

    @property
    def source(self) -> Side:
        """The side changes come from."""
        return Side.FINOPS if self is Direction.FINOPS_TO_DATAVERSE else Side.DATAVERSE

    @property
    def target(self) -> Side:
        """The side that is written."""
        return self.source.other

    @property
    def reverse(self) -> Direction:
        """The other direction."""
        return Direction.from_source(self.target)

    @staticmethod
    def from_source(side: Side) -> Direction:
        """The direction whose source is `side`."""
        if side is Side.FINOPS:
            return Direction.FINOPS_TO_DATAVERSE
        return Direction.DATAVERSE_TO_FINOPS


class ColumnMapType(StrEnum):
    """The six symbols (spec platform, Customize); doubled ones carry a transform."""

    BOTH = "="
    TO_DATAVERSE = ">"
    TO_FINOPS = "<"
    BOTH_TRANSFORM = "><"
    TO_DATAVERSE_TRANSFORM = ">>"
    TO_FINOPS_TRANSFORM = "<<"

    def flows(self, direction: Direction) -> bool:
        """True when the column is carried in `direction`."""
        if self in (ColumnMapType.BOTH, ColumnMapType.BOTH_TRANSFORM):
            return True
        to_dataverse = self in (
            ColumnMapType.TO_DATAVERSE,
            ColumnMapType.TO_DATAVERSE_TRANSFORM,
        )
        return to_dataverse is (direction is Direction.FINOPS_TO_DATAVERSE)


class ConflictPolicy(StrEnum):
    """Who wins when both sides changed the same column (architecture section 6)."""

    LAST_WRITER_WINS = "last_writer_wins"
    FINOPS_WINS = "finops_wins"
    DATAVERSE_WINS = "dataverse_wins"
    MANUAL = "manual"


class OnError(StrEnum):
    """What a refused record holds back: its whole source transaction or itself."""

    TRANSACTION = "transaction"
    RECORD = "record"


class OnFilterExit(StrEnum):
    """What happens on the other side to a row that stops matching the filter."""

    LEAVE = "leave"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class ColumnMap:
    """One line of a map. None on a side is the file's `none`: a constant default is
    written to the other side, or what a `decision` or an `expression` makes of columns
    of that side. `default` and `values` are text as an administrator writes it
    (`True`, `3`, `Organization`); the compiler converts to the column's type. `values`
    are (finops, dataverse) pairs in declared order; with `value_map` they were taken
    from the shared value map of that name. A `sticky` flag is never turned back: a
    true that is there is not overwritten by false."""

    finops: str | None
    dataverse: str | None
    type: ColumnMapType
    default: str | None = None
    values: tuple[tuple[str, str], ...] | None = None
    value_map: str | None = None
    sticky: bool = False
    decision: DecisionTable | None = None
    expression: str | None = None

    @property
    def computed(self) -> bool:
        """True when the value is made from columns that the line's rule names."""
        return self.decision is not None or self.expression is not None

    def has_source(self, direction: Direction) -> bool:
        """True when the line carries values of the source in `direction`; a constant
        does not."""
        return self.type.flows(direction) and (
            self.computed or self.on(direction.source) is not None
        )

    def on(self, side: Side) -> str | None:
        """The column path on `side`."""
        return self.finops if side is Side.FINOPS else self.dataverse


@dataclass(frozen=True, slots=True)
class ValueMap:
    """Pairs of values under a name, shared by columns of several maps."""

    name: str
    values: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class KeyPair:
    """One part of the integration key: the same value under its name on each side."""

    finops: str
    dataverse: str

    def on(self, side: Side) -> str:
        """The column path on `side`."""
        return self.finops if side is Side.FINOPS else self.dataverse


@dataclass(frozen=True, slots=True)
class LookupDeclaration:
    """A reference the database itself does not declare as a foreign key.

    `column` of the map's table on `side` refers to `reference` of `table`.
    """

    side: Side
    column: str
    table: str
    reference: str


Values = tuple[tuple[str, str | None], ...]
"""Values by column path, None for no value."""


@dataclass(frozen=True, slots=True)
class MapExample:
    """What the map must make of one source row: the values of `expect`, the failure of
    code `fails`, or nothing where the row is `left_out` by filter or company. Values
    are text as an administrator writes it; columns that `given` does not name are of
    no account."""

    name: str
    direction: Direction
    given: Values
    expect: Values = ()
    fails: str = ""
    left_out: bool = False


@dataclass(frozen=True)
class TableMap:
    """A table map in one version: all the compiler needs, nothing about state."""

    name: str
    finops_table: str
    dataverse_table: str
    columns: tuple[ColumnMap, ...]
    key: tuple[KeyPair, ...]
    publisher: str = ""
    version: str = "1.0.0.0"
    finops_filter: str = ""
    dataverse_filter: str = ""
    conflict: ConflictPolicy = ConflictPolicy.LAST_WRITER_WINS
    on_error: OnError = OnError.TRANSACTION
    on_filter_exit: OnFilterExit = OnFilterExit.LEAVE
    lookups: tuple[LookupDeclaration, ...] = field(default=())
    examples: tuple[MapExample, ...] = field(default=())

    def table(self, side: Side) -> str:
        """The mapped table on `side`."""
        return self.finops_table if side is Side.FINOPS else self.dataverse_table

    def filter(self, side: Side) -> str:
        """The filter for rows whose source is `side`."""
        return self.finops_filter if side is Side.FINOPS else self.dataverse_filter

    def flows(self, direction: Direction) -> bool:
        """True when at least one column that has a source flows in `direction`."""
        return any(column.has_source(direction) for column in self.columns)


@dataclass(frozen=True, slots=True)
class LegalEntityPair:
    """One linked company under its code on each side."""

    finops: str
    dataverse: str

    def on(self, side: Side) -> str:
        """The code on `side`."""
        return self.finops if side is Side.FINOPS else self.dataverse


class Severity(StrEnum):
    """E blocks a run, W warns, I informs (spec sync 12)."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True, slots=True)
class HealthFinding:
    """One thing wrong or notable: documented code, sentence, place and cure.

    `script` holds statements for a database administrator where that is the cure.
    """

    code: str
    severity: Severity
    message: str
    place: str = ""
    cure: str = ""
    script: str = ""
