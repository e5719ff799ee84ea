"""Compare both sides of a map, and repair what differs (architecture section 9).

Any size in flat memory and without any order of rows: a first pass over both sides
adds up a hash of each row in a bucket chosen by its key (`reconcile_passes`). Buckets
whose sums agree hold equal rows. For the others a second pass reads the keys alone, and
the rows themselves are then fetched by key from both sides. Where the map is running,
what differs is looked at once more after everything that was on its way has arrived.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from enum import StrEnum

from syncengine.connectors.base import Connector
from syncengine.counterparts import ColumnDifference, Counterparts
from syncengine.errors import RecordError
from syncengine.mapping.compiled import CompiledLeg, Row
from syncengine.mapping.model import Side
from syncengine.reconcile_passes import (
    PART_ROWS,
    Counter,
    DigestPass,
    FirstPass,
    RowPass,
)

BUCKETS = 1 << 18
GROUP_ROWS = 200_000
"""How many keys of doubtful buckets are held in memory at once."""
FETCH_ROWS = 2_000
LOOKED_AT_AGAIN = 20_000
"""How many differences are held before they are looked at again together."""


class DifferenceKind(StrEnum):
    """What is wrong with a record."""

    MISSING_IN_FINOPS = "missing_in_finops"
    MISSING_IN_DATAVERSE = "missing_in_dataverse"
    DIFFERENT = "different"


@dataclass(frozen=True, slots=True)
class Difference:
    """One record that is not in step. `key` is the integration key in the form of the
    side the leading leg writes, `source_key` in that of the side it reads, where that
    is known; `columns` name what differs, or `reason` says why the record could not be
    compared. `left` and `right` are the rows as read."""

    kind: DifferenceKind
    key: Row
    columns: tuple[ColumnDifference, ...] = ()
    reason: str = ""
    left: Row | None = field(default=None, repr=False)
    right: Row | None = field(default=None, repr=False)
    source_key: Row | None = field(default=None, repr=False)


@dataclass(slots=True)
class CompareResult:
    """Counts of records in scope; compared is the sum of the first four. `unclaimed`
    are rows that a one-way map finds on the side it writes only: another map's, or
    somebody's own."""

    equal: int = 0
    missing_in_finops: int = 0
    missing_in_dataverse: int = 0
    different: int = 0
    unclaimed: int = 0
    examples: list[Difference] = field(default_factory=list)

    @property
    def compared(self) -> int:
        """Distinct records looked at."""
        return (
            self.equal
            + self.missing_in_finops
            + self.missing_in_dataverse
            + self.different
        )

    @property
    def in_step(self) -> bool:
        """True when nothing differs."""
        return self.compared == self.equal


def compare(
    finops: Connector,
    dataverse: Connector,
    to_dataverse: CompiledLeg | None,
    to_finops: CompiledLeg | None,
    *,
    on_progress: Callable[[int], None] | None = None,
    max_examples: int = 20,
    on_difference: Callable[[Difference], None] | None = None,
    catch_up: Callable[[], None] | None = None,
    part_rows: int = PART_ROWS,
) -> CompareResult:
    """Compare all records in scope under the map's transforms.

    Not counted are rows of companies that are not linked, and records that one of the
    sides keeps out by its filter. A map that flows one way is judged in that direction
    only: what the written side has besides is `unclaimed`. `on_progress` is told the
    number of rows read so far and may end the comparison by raising; `on_difference`
    is told every difference as it is found. `catch_up` returns when every change made
    before has been carried over: with it, differences are looked at twice. `part_rows`
    is how much a system is asked to do at once.
    """
    sides = Counterparts(finops, dataverse, to_dataverse, to_finops)
    return Comparison(
        sides,
        max_examples,
        on_difference,
        on_progress,
        catch_up=catch_up,
        part_rows=part_rows,
    ).run()


class Comparison:
    """One run of `compare`."""

    def __init__(
        self,
        sides: Counterparts,
        max_examples: int = 20,
        on_difference: Callable[[Difference], None] | None = None,
        on_progress: Callable[[int], None] | None = None,
        buckets: int = BUCKETS,
        group_rows: int = GROUP_ROWS,
        catch_up: Callable[[], None] | None = None,
        part_rows: int = PART_ROWS,
        digests: bool = True,
    ) -> None:
        self._sides = sides
        self._max_examples = max_examples
        self._on_difference = on_difference
        self._counter = Counter(on_progress)
        self._buckets = buckets
        self._group_rows = group_rows
        self._catch_up = catch_up
        self._part_rows = part_rows
        self._digests = digests
        self._candidates: list[Difference] = []
        self._result = CompareResult()

    def run(self) -> CompareResult:
        """Compare; call once."""
        if self._nothing_in_scope():
            return self._result
        with ExitStack() as stack:
            first = self._open(stack)
            for equal, group in first.add_up().doubtful(self._group_rows):
                self._result.equal += equal
                if group:
                    self._settle_group(first, group)
            self._look_again()
        return self._result

    def run_only(self, keys: Mapping[Row, Row | None]) -> CompareResult:
        """Compare these records alone: common key -> key on the left, where known.
        Call once, instead of `run`."""
        if self._nothing_in_scope():
            return self._result
        with ExitStack() as stack:
            self._open(stack)
            if self._catch_up is not None:
                self._catch_up()
                self._catch_up = None
            wanted = list(keys.items())
            for start in range(0, len(wanted), FETCH_ROWS):
                self._settle(dict(wanted[start : start + FETCH_ROWS]), whole=True)
        return self._result

    def _nothing_in_scope(self) -> bool:
        lead = self._sides.lead
        return lead.source_company is not None and not lead.companies

    def _open(self, stack: ExitStack) -> FirstPass:
        sides = self._sides
        left, self._left_rows = (
            stack.enter_context(sides.left.reader()) for _ in range(2)
        )
        right, self._right_rows = (
            stack.enter_context(sides.right.reader()) for _ in range(2)
        )
        readers = (left, right)
        digests = sides.digests(self._buckets) if self._digests else None
        if digests is not None and left.can_digest and right.can_digest:
            return DigestPass(
                sides,
                readers,
                digests,
                self._counter,
                self._part_rows,
                self._without_left_key,
            )
        return RowPass(
            sides, readers, self._buckets, self._counter, self._without_left_key
        )

    # Second pass: what differs in these buckets

    def _settle_group(self, first: FirstPass, group: set[int]) -> None:
        known: set[Row] = set()
        pending: dict[Row, Row | None] = {}
        for key, source_key in first.left_keys(group):
            known.add(key)
            pending[key] = source_key
            if len(pending) >= FETCH_ROWS:
                self._settle(pending)
                pending = {}
        if pending:
            self._settle(pending)
        self._settle_right(first, group, known)

    def _settle_right(
        self, first: FirstPass, group: set[int], known: Collection[Row]
    ) -> None:
        """Right rows whose keys the left does not have."""
        sides = self._sides
        found: list[Row] = []
        for rows in first.right_keys(group):
            for row in rows:
                if sides.spelled(row) in known:
                    continue
                if self._one_way:
                    self._result.unclaimed += 1
                elif None in row:
                    self._without_key(row)
                else:
                    found.append(row)
            if len(found) >= FETCH_ROWS:
                self._settle_right_only(found)
                found = []
        if found:
            self._settle_right_only(found)

    @property
    def _one_way(self) -> bool:
        return self._sides.back is None

    def _settle(self, keys: Mapping[Row, Row | None], *, whole: bool = False) -> None:
        """Fetch these records from both sides and judge each; with `whole`, those
        that only the right side has as well."""
        sides = self._sides
        source_keys = [key for key in keys.values() if key is not None]
        lefts = self._left_rows.fetch(sides.left_request(), source_keys)
        rights = self._fetch_right(list(keys))
        absent: list[tuple[Row, Row]] = []
        seen: set[Row] = set()
        for row in lefts:
            key = sides.left_key(row)
            there = rights.get(key, ())
            if key in seen:
                self._differs(
                    key, f"Several rows of {sides.lead.source.name} have this key."
                )
            elif len(there) > 1:
                self._differs(
                    key, f"Several rows of {sides.lead.target.name} have this key."
                )
            elif there:
                self._judge(key, row, there[0])
            else:
                absent.append((key, row))
            seen.add(key)
        self._settle_absent(absent)
        if whole:
            self._settle_unseen(keys, rights, seen)

    def _settle_unseen(
        self,
        keys: Mapping[Row, Row | None],
        rights: Mapping[Row, Sequence[Row]],
        seen: Collection[Row],
    ) -> None:
        """Right rows without a left one, unless its filter keeps that out."""
        alone = [key for key in rights if key not in seen]
        sides = self._sides
        hidden: set[Row] = set()
        source_keys = [key for one in alone if (key := keys.get(one)) is not None]
        if source_keys and sides.left_request().predicate is not None:
            request = sides.left_request(everything=True)
            hidden = {
                sides.left_key(row)
                for row in self._left_rows.fetch(request, source_keys)
            }
        for key in alone:
            if key not in hidden:
                self._only_right(key, rights[key][0])

    def _fetch_right(
        self, keys: Sequence[Row], *, everything: bool = False
    ) -> dict[Row, list[Row]]:
        sides = self._sides
        request = sides.right_request(sides.detail_columns, everything=everything)
        found: dict[Row, list[Row]] = {}
        for row in self._right_rows.fetch(request, keys):
            found.setdefault(sides.right_key(row), []).append(row)
        return found

    def _judge(self, key: Row, left: Row, right: Row) -> None:
        try:
            columns = self._sides.differences(left, right)
        except RecordError as error:
            self._differs(key, error.message, left=left, right=right)
            return
        if columns:
            self._found(
                Difference(
                    DifferenceKind.DIFFERENT,
                    key,
                    columns,
                    left=left,
                    right=right,
                    source_key=self._sides.left_source_key(left),
                )
            )
        else:
            self._result.equal += 1

    def _settle_absent(self, absent: Sequence[tuple[Row, Row]]) -> None:
        """Left rows without a right one, unless its filter keeps that out."""
        if not absent:
            return
        sides = self._sides
        hidden: Collection[Row] = ()
        if sides.right_request().predicate is not None:
            keys = [key for key, _ in absent]
            hidden = self._fetch_right(keys, everything=True)
        image_of = sides.left_image()
        for key, row in absent:
            if key in hidden:
                continue
            try:
                image_of(row)
            except RecordError as error:
                self._differs(key, error.message, left=row)
                continue
            source_key = sides.left_source_key(row)
            self._found(
                Difference(self._missing_right, key, left=row, source_key=source_key)
            )

    def _settle_right_only(self, keys: Sequence[Row]) -> None:
        for key, rows in self._fetch_right(keys).items():
            self._only_right(key, rows[0])

    def _only_right(self, key: Row, row: Row) -> None:
        if self._one_way:
            self._result.unclaimed += 1
            return
        source_key = self._sides.left_key_of_right(row)
        self._found(
            Difference(self._missing_left, key, right=row, source_key=source_key)
        )

    def _without_key(self, key: Row) -> None:
        reason = f"The row of {self._sides.lead.target.name} has no integration key."
        self._report(Difference(self._missing_left, key, reason=reason))

    def _without_left_key(self, row: Row, error: RecordError) -> None:
        key = self._sides.left_source_key(row)
        self._report(
            Difference(DifferenceKind.DIFFERENT, key, reason=error.message, left=row)
        )

    # Looking again

    def _found(self, difference: Difference) -> None:
        """A difference, unless it was only on its way."""
        if self._catch_up is None or difference.source_key is None:
            self._report(difference)
            return
        self._candidates.append(difference)
        if len(self._candidates) >= LOOKED_AT_AGAIN:
            self._look_again()

    def _look_again(self) -> None:
        candidates, self._candidates = self._candidates, []
        if not candidates or self._catch_up is None:
            return
        catch_up, self._catch_up = self._catch_up, None
        try:
            catch_up()
            for start in range(0, len(candidates), FETCH_ROWS):
                some = candidates[start : start + FETCH_ROWS]
                self._settle({one.key: one.source_key for one in some}, whole=True)
        finally:
            self._catch_up = catch_up

    # Counting

    @property
    def _missing_right(self) -> DifferenceKind:
        if self._sides.left_side is Side.FINOPS:
            return DifferenceKind.MISSING_IN_DATAVERSE
        return DifferenceKind.MISSING_IN_FINOPS

    @property
    def _missing_left(self) -> DifferenceKind:
        if self._sides.left_side is Side.FINOPS:
            return DifferenceKind.MISSING_IN_FINOPS
        return DifferenceKind.MISSING_IN_DATAVERSE

    def _differs(
        self,
        key: Row,
        reason: str,
        *,
        left: Row | None = None,
        right: Row | None = None,
    ) -> None:
        source_key = None if left is None else self._sides.left_source_key(left)
        self._found(
            Difference(
                DifferenceKind.DIFFERENT,
                key,
                reason=reason,
                left=left,
                right=right,
                source_key=source_key,
            )
        )

    def _report(self, difference: Difference) -> None:
        result = self._result
        match difference.kind:
            case DifferenceKind.DIFFERENT:
                result.different += 1
            case DifferenceKind.MISSING_IN_FINOPS:
                result.missing_in_finops += 1
            case DifferenceKind.MISSING_IN_DATAVERSE:
                result.missing_in_dataverse += 1
        if len(result.examples) < self._max_examples:
            result.examples.append(difference)
        if self._on_difference is not None:
            self._on_difference(difference)
