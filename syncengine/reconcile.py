"""Compare both sides of a map, and repair what differs (architecture section 9).

Any size in flat memory and without any order of rows: a first pass over both sides
adds up a hash of each row in a bucket chosen by its key. Buckets whose sums agree hold
equal rows. For the others a second pass reads the keys alone, and the rows themselves
are then fetched by key from both sides at nearly the same moment, so that changes on
their way while comparing are hardly ever taken for differences.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from enum import StrEnum

from syncengine.connectors.base import Connector, ReadRequest
from syncengine.counterparts import ColumnDifference, Counterparts, pick
from syncengine.errors import RecordError
from syncengine.mapping.compiled import CompiledLeg, Row
from syncengine.mapping.model import Side

BUCKETS = 1 << 18
GROUP_ROWS = 200_000
"""How many keys of doubtful buckets are held in memory at once."""
FETCH_ROWS = 2_000
HASH_MASK = (1 << 64) - 1


class DifferenceKind(StrEnum):
    """What is wrong with a record."""

    MISSING_IN_FINOPS = "missing_in_finops"
    MISSING_IN_DATAVERSE = "missing_in_dataverse"
    DIFFERENT = "different"


@dataclass(frozen=True, slots=True)
class Difference:
    """One record that is not in step. `key` is the integration key in the form of the
    side the leading leg writes; `columns` name what differs, or `reason` says why the
    record could not be compared. `left` and `right` are the rows as read."""

    kind: DifferenceKind
    key: Row
    columns: tuple[ColumnDifference, ...] = ()
    reason: str = ""
    left: Row | None = field(default=None, repr=False)
    right: Row | None = field(default=None, repr=False)


@dataclass(slots=True)
class CompareResult:
    """Counts of records in scope; compared is the sum of the four others."""

    equal: int = 0
    missing_in_finops: int = 0
    missing_in_dataverse: int = 0
    different: int = 0
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


def _narrowed(request: ReadRequest) -> ReadRequest:
    """The same rows, key columns only."""
    return replace(request, columns=request.key)


def compare(
    finops: Connector,
    dataverse: Connector,
    to_dataverse: CompiledLeg | None,
    to_finops: CompiledLeg | None,
    *,
    on_progress: Callable[[int], None] | None = None,
    max_examples: int = 20,
    on_difference: Callable[[Difference], None] | None = None,
) -> CompareResult:
    """Compare all records in scope under the map's transforms.

    Not counted are rows of companies that are not linked, and records that one of the
    sides keeps out by its filter. `on_progress` is told the number of rows read so
    far, `on_difference` every difference as it is found.
    """
    sides = Counterparts(finops, dataverse, to_dataverse, to_finops)
    return Comparison(sides, max_examples, on_difference, on_progress).run()


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
    ) -> None:
        self._sides = sides
        self._max_examples = max_examples
        self._on_difference = on_difference
        self._on_progress = on_progress
        self._mask = buckets - 1
        self._group_rows = group_rows
        self._rows_read = 0
        self._result = CompareResult()

    def run(self) -> CompareResult:
        """Compare; call once."""
        sides = self._sides
        if sides.lead.source_company is not None and not sides.lead.companies:
            return self._result
        with ExitStack() as stack:
            self._left, self._left_rows = (
                stack.enter_context(sides.left.reader()) for _ in range(2)
            )
            self._right, self._right_rows = (
                stack.enter_context(sides.right.reader()) for _ in range(2)
            )
            for group in self._doubtful():
                self._settle_group(group)
        return self._result

    # First pass: which buckets are not equal

    def _doubtful(self) -> Iterator[set[int]]:
        """Count rows of equal buckets; give the others in groups that fit memory."""
        size = self._mask + 1
        sums = array("Q", bytes(8 * size))
        lefts = array("L", bytes(array("L").itemsize * size))
        rights = array("L", bytes(array("L").itemsize * size))
        self._add_left(sums, lefts)
        self._subtract_right(sums, rights)
        group: set[int] = set()
        rows = 0
        for bucket in range(size):
            if sums[bucket] == 0 and lefts[bucket] == rights[bucket]:
                self._result.equal += lefts[bucket]
                continue
            group.add(bucket)
            rows += lefts[bucket] + rights[bucket]
            if rows >= self._group_rows:
                yield group
                group, rows = set(), 0
        if group:
            yield group

    def _add_left(self, sums: array[int], counts: array[int]) -> None:
        mask, wrap = self._mask, HASH_MASK
        image_of = self._sides.left_image()
        for rows in self._left.read(self._sides.left_request()):
            for row in rows:
                try:
                    key, image = image_of(row)
                except RecordError as error:
                    self._add_unmapped(row, error, sums, counts)
                    continue
                bucket = hash(key) & mask
                sums[bucket] = (sums[bucket] + hash(image)) & wrap
                counts[bucket] += 1
            self._progress(len(rows))

    def _add_unmapped(
        self, row: Row, error: RecordError, sums: array[int], counts: array[int]
    ) -> None:
        """Make the bucket doubtful; a row without even a key is judged at once."""
        sides = self._sides
        try:
            key = sides.left_key(row)
        except RecordError:
            self._differs(sides.left_source_key(row), error.message, left=row)
            return
        bucket = hash(key) & self._mask
        sums[bucket] = (sums[bucket] + hash((key, error.code))) & HASH_MASK
        counts[bucket] += 1

    def _subtract_right(self, sums: array[int], counts: array[int]) -> None:
        mask, wrap = self._mask, HASH_MASK
        image_of = self._sides.right_image()
        for rows in self._right.read(self._sides.right_request()):
            for row in rows:
                try:
                    key, image = image_of(row)
                except RecordError as error:
                    key = self._sides.right_key(row)
                    image = (*key, error.code)
                bucket = hash(key) & mask
                sums[bucket] = (sums[bucket] - hash(image)) & wrap
                counts[bucket] += 1
            self._progress(len(rows))

    # Second pass: what differs in these buckets

    def _settle_group(self, group: set[int]) -> None:
        known: set[Row] = set()
        pending: dict[Row, Row] = {}
        for key, source_key in self._left_keys(group):
            known.add(key)
            pending[key] = source_key
            if len(pending) >= FETCH_ROWS:
                self._settle(pending)
                pending = {}
        if pending:
            self._settle(pending)
        for right_only in self._right_keys(group, known):
            self._settle_right_only(right_only)

    def _left_keys(self, group: set[int]) -> Iterator[tuple[Row, Row]]:
        """Keys of the group on the left, those outside its filter as well."""
        sides, mask = self._sides, self._mask
        request = _narrowed(sides.left_request(everything=True))
        width = len(request.columns)
        place = {path: i for i, path in enumerate(request.columns)}
        spread = pick([place.get(path, width) for path in sides.left_columns])
        for rows in self._left.read(request):
            for row in rows:
                try:
                    key = sides.left_key(spread((*row, None)))
                except RecordError:
                    continue
                if hash(key) & mask in group:
                    yield key, row

    def _right_keys(self, group: set[int], known: set[Row]) -> Iterator[list[Row]]:
        """Lists of keys (in the right side's own spelling) the left does not have."""
        sides, mask = self._sides, self._mask
        found: list[Row] = []
        for rows in self._right.read(_narrowed(sides.right_request())):
            for row in rows:
                key = sides.spelled(row)
                if hash(key) & mask not in group or key in known:
                    continue
                if None in row:
                    self._without_key(row)
                else:
                    found.append(row)
            if len(found) >= FETCH_ROWS:
                yield found
                found = []
        if found:
            yield found

    def _settle(self, keys: dict[Row, Row]) -> None:
        """Fetch these records from both sides and judge each."""
        sides = self._sides
        lefts = self._left_rows.fetch(sides.left_request(), list(keys.values()))
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
            self._report(
                Difference(
                    DifferenceKind.DIFFERENT, key, columns, left=left, right=right
                )
            )
        else:
            self._result.equal += 1

    def _settle_absent(self, absent: Sequence[tuple[Row, Row]]) -> None:
        """Left rows without a right one, unless its filter keeps that out."""
        if not absent:
            return
        hidden: Collection[Row] = ()
        if self._sides.right_request().predicate is not None:
            keys = [key for key, _ in absent]
            hidden = self._fetch_right(keys, everything=True)
        image_of = self._sides.left_image()
        for key, row in absent:
            if key in hidden:
                continue
            try:
                image_of(row)
            except RecordError as error:
                self._differs(key, error.message, left=row)
                continue
            self._report(Difference(self._missing_right, key, left=row))

    def _settle_right_only(self, keys: Sequence[Row]) -> None:
        for key, rows in self._fetch_right(keys).items():
            self._report(Difference(self._missing_left, key, right=rows[0]))

    def _without_key(self, key: Row) -> None:
        reason = f"The row of {self._sides.lead.target.name} has no integration key."
        self._report(Difference(self._missing_left, key, reason=reason))

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
        self._report(
            Difference(
                DifferenceKind.DIFFERENT, key, reason=reason, left=left, right=right
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

    def _progress(self, rows: int) -> None:
        self._rows_read += rows
        if self._on_progress is not None:
            self._on_progress(self._rows_read)
