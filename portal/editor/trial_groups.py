"""What a trial found, in groups: what fails by cause, what differs by column."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from syncengine.trial_records import (
    Cause,
    ChangedColumn,
    LegTrial,
    TriedRecord,
    Verdict,
)

EXAMPLES = 5
FAILING = (
    Verdict.REFUSED,
    Verdict.FAILS,
    Verdict.DELETE_BLOCKED,
    Verdict.STILL_REFUSED,
    Verdict.STILL_FAILS,
    Verdict.DELETE_STILL_BLOCKED,
)
WORSE = (Verdict.REFUSED, Verdict.FAILS, Verdict.DELETE_BLOCKED)
_WORDS = {
    Cause.DECISION: "decision table",
    Cause.EXPRESSION: "expression",
    Cause.SOURCE: "source column",
    Cause.VALUES: "value map",
    Cause.DEFAULT: "default",
    Cause.NEW: "a new line",
    Cause.GONE: "its line is gone",
    Cause.OTHER: "other settings",
    Cause.CONSTANT: "constant",
}


@dataclass(frozen=True)
class Failure:
    """Records that fail alike, with a few of them."""

    verdict: str
    code: str
    column: str
    message: str
    count: int
    examples: Sequence[TriedRecord]


@dataclass(frozen=True)
class Step:
    """From one value to another: of so many records, one of them by its key."""

    change: ChangedColumn
    count: int
    record: TriedRecord


@dataclass(frozen=True)
class Difference:
    """A column that comes out differently for one cause: in how many records, in how
    many of them nothing else differs (`alone`), and the steps that most take."""

    column: str
    causes: tuple[Cause, ...]
    count: int
    alone: int
    steps: Sequence[Step]
    more: int

    @property
    def constant(self) -> bool:
        """True where every record gets the same, so that the count says nothing."""
        return self.causes == (Cause.CONSTANT,)

    @property
    def cause(self) -> str:
        """What was changed of the line, in words."""
        text = ", ".join(_WORDS[cause] for cause in self.causes)
        return text[:1].upper() + text[1:]


def failures(trial: LegTrial) -> list[Failure]:
    """What fails, the worst and the most first."""
    groups: dict[tuple[str, str, str], list[TriedRecord]] = {}
    for record in trial.of(*FAILING):
        key = (record.verdict.value, record.code, record.column)
        groups.setdefault(key, []).append(record)
    order = {each.value: number for number, each in enumerate(Verdict)}
    return [
        Failure(
            verdict,
            code,
            column,
            records[0].message,
            len(records),
            records[:EXAMPLES],
        )
        for (verdict, code, column), records in sorted(
            groups.items(), key=lambda each: (order[each[0][0]], -len(each[1]))
        )
    ]


def differences(trial: LegTrial) -> list[Difference]:
    """What comes out differently, a line for each column and cause. Constants, which
    all records get, come last."""
    groups: dict[tuple[str, tuple[Cause, ...]], list[_Told]] = {}
    for record in trial.of(Verdict.DIFFERS, Verdict.CONSTANT):
        for change in record.changes:
            key = (change.column, change.causes)
            groups.setdefault(key, []).append((change, record))
    found = [_difference(*key, told) for key, told in groups.items()]
    return sorted(found, key=lambda one: (one.constant, -one.count))


_Told = tuple[ChangedColumn, TriedRecord]


def _difference(
    column: str, causes: tuple[Cause, ...], told: Sequence[_Told]
) -> Difference:
    counts = Counter(change for change, _ in told)
    first: dict[ChangedColumn, TriedRecord] = {}
    for change, record in told:
        first.setdefault(change, record)
    steps = [
        Step(change, count, first[change])
        for change, count in counts.most_common(EXAMPLES)
    ]
    alone = sum(len(record.changes) == 1 for _, record in told)
    more = len(told) - sum(step.count for step in steps)
    return Difference(column, causes, len(told), alone, steps, more)


def moved(trial: LegTrial) -> Iterator[TriedRecord]:
    """A few of the records that the draft treats otherwise as a whole."""
    for verdict in (
        Verdict.DELETE_NEW,
        Verdict.LEFT_OUT,
        Verdict.TAKEN_IN,
        Verdict.DELETE_LEFT,
        Verdict.DELETE_CONTESTED,
        Verdict.DELETED,
        Verdict.MENDED,
    ):
        yield from trial.of(verdict)[:EXAMPLES]
