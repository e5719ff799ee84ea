"""The first look at both sides of a map: which buckets of keys may hold differences.

Either both systems add up hashes of their rows themselves, and only sums travel, or
the rows are read from both at once and mapped here. Both ways need flat memory.
"""

from __future__ import annotations

import threading
from array import array
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Protocol

from syncengine.connectors.base import BucketSum, Reader, ReadRequest
from syncengine.counterparts import Counterparts, pick
from syncengine.errors import RecordError
from syncengine.mapping.compiled import Row
from syncengine.mapping.digests import RowDigest

HASH_MASK = (1 << 64) - 1
PART_ROWS = 2_000_000
"""Rows whose hashes a system adds up in one go, unless it is to be spared."""

Progress = Callable[[int], None]
Unmapped = Callable[[Row, RecordError], None]


class FirstPass(Protocol):
    """A way to look at all rows, and then at the keys of some buckets."""

    def add_up(self) -> Sums:
        """Look at all rows of both sides."""

    def left_keys(self, group: Collection[int]) -> Iterator[tuple[Row, Row]]:
        """(common key, source key) of left rows of these buckets, those outside the
        left side's filter as well."""

    def right_keys(self, group: Collection[int]) -> Iterator[list[Row]]:
        """Keys of right rows of these buckets, in their own spelling."""


class Sums:
    """Two sums and two counts for each bucket, added by two threads."""

    def __init__(self, buckets: int) -> None:
        counts = bytes(array("L").itemsize * buckets)
        self.left = array("Q", bytes(8 * buckets))
        self.right = array("Q", bytes(8 * buckets))
        self.left_rows = array("L", counts)
        self.right_rows = array("L", counts)

    def doubtful(self, group_rows: int) -> Iterator[tuple[int, set[int]]]:
        """(rows of equal buckets so far, doubtful buckets of about `group_rows`)."""
        equal = 0
        group: set[int] = set()
        rows = 0
        totals = zip(
            self.left, self.right, self.left_rows, self.right_rows, strict=True
        )
        for bucket, (mine, yours, here, there) in enumerate(totals):
            if mine == yours and here == there:
                equal += here
                continue
            group.add(bucket)
            rows += here + there
            if rows >= group_rows:
                yield equal, group
                equal, group, rows = 0, set(), 0
        yield equal, group


class Counter:
    """Counts the rows read by several threads and tells somebody."""

    def __init__(self, told: Progress | None) -> None:
        self._told = told
        self._lock = threading.Lock()
        self.rows = 0
        self.failure: BaseException | None = None

    def add(self, rows: int) -> None:
        """So many more. What the listener raises, and what the other thread met, ends
        the pass."""
        with self._lock:
            if self.failure is not None:
                raise self.failure
            self.rows += rows
            if self._told is not None:
                self._told(self.rows)


def both(counter: Counter, left: Callable[[], None], right: Callable[[], None]) -> None:
    """Do both at once. Raises what either raised first; the other then ends at its
    next count."""

    def watched(work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:
            counter.failure = counter.failure or error
            raise

    with ThreadPoolExecutor(2, thread_name_prefix="dualwrite compare") as pool:
        tasks = [pool.submit(watched, left), pool.submit(watched, right)]
    if counter.failure is not None:
        raise counter.failure
    for task in tasks:
        task.result()


def narrowed(request: ReadRequest) -> ReadRequest:
    """The same rows, key columns only."""
    return replace(request, columns=request.key)


class DigestPass:
    """Both systems hash and add up their rows themselves."""

    def __init__(
        self,
        sides: Counterparts,
        readers: tuple[Reader, Reader],
        digests: tuple[RowDigest, RowDigest],
        counter: Counter,
        part_rows: int,
        unmapped: Unmapped,
    ) -> None:
        self._sides = sides
        self._unmapped = unmapped
        self._left, self._right = readers
        self._left_digest, self._right_digest = digests
        self._counter = counter
        self._part_rows = part_rows

    def add_up(self) -> Sums:
        """Look at all rows of both sides."""
        sums = Sums(self._left_digest.buckets)
        sides = self._sides
        both(
            self._counter,
            lambda: self._add(
                self._left.digest(
                    sides.left_request(), self._left_digest, self._part_rows
                ),
                sums.left,
                sums.left_rows,
            ),
            lambda: self._add(
                self._right.digest(
                    sides.right_request(), self._right_digest, self._part_rows
                ),
                sums.right,
                sums.right_rows,
            ),
        )
        return sums

    def _add(
        self,
        parts: Iterator[list[BucketSum]],
        sums: array[int],
        counts: array[int],
    ) -> None:
        for part in parts:
            rows = 0
            for bucket, count, added in part:
                sums[bucket] = (sums[bucket] + added) & HASH_MASK
                counts[bucket] += count
                rows += count
            self._counter.add(rows)

    def left_keys(self, group: Collection[int]) -> Iterator[tuple[Row, Row]]:
        """Keys of the group on the left, those outside its filter as well."""
        sides = self._sides
        request = narrowed(sides.left_request(everything=True))
        key_of = left_key_reader(sides, request)
        buckets = sorted(group)
        without = False
        for rows in self._left.read_buckets(request, self._left_digest, buckets):
            for row in rows:
                key = key_of(row)
                if key is not None:
                    yield key, row
                else:
                    without = True
        if without:
            self._tell_unmapped(buckets)

    def _tell_unmapped(self, buckets: Sequence[int]) -> None:
        """Rows in scope from which not even a key can be made."""
        request = self._sides.left_request()
        for rows in self._left.read_buckets(request, self._left_digest, buckets):
            for row in rows:
                try:
                    self._sides.left_key(row)
                except RecordError as error:
                    self._unmapped(row, error)

    def right_keys(self, group: Collection[int]) -> Iterator[list[Row]]:
        """Keys of the group on the right."""
        request = narrowed(self._sides.right_request())
        yield from self._right.read_buckets(request, self._right_digest, sorted(group))


class RowPass:
    """The rows of both sides are read and mapped here. `unmapped` is told of rows
    without even a key."""

    def __init__(
        self,
        sides: Counterparts,
        readers: tuple[Reader, Reader],
        buckets: int,
        counter: Counter,
        unmapped: Unmapped,
    ) -> None:
        self._sides = sides
        self._left, self._right = readers
        self._mask = buckets - 1
        self._counter = counter
        self._unmapped = unmapped

    def add_up(self) -> Sums:
        """Look at all rows of both sides."""
        sums = Sums(self._mask + 1)
        both(
            self._counter,
            lambda: self._add_left(sums.left, sums.left_rows),
            lambda: self._add_right(sums.right, sums.right_rows),
        )
        return sums

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
            self._counter.add(len(rows))

    def _add_unmapped(
        self, row: Row, error: RecordError, sums: array[int], counts: array[int]
    ) -> None:
        """Make the bucket doubtful; a row without even a key is judged at once."""
        try:
            key = self._sides.left_key(row)
        except RecordError:
            self._unmapped(row, error)
            return
        bucket = hash(key) & self._mask
        sums[bucket] = (sums[bucket] + hash((key, error.code))) & HASH_MASK
        counts[bucket] += 1

    def _add_right(self, sums: array[int], counts: array[int]) -> None:
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
                sums[bucket] = (sums[bucket] + hash(image)) & wrap
                counts[bucket] += 1
            self._counter.add(len(rows))

    def left_keys(self, group: Collection[int]) -> Iterator[tuple[Row, Row]]:
        """Keys of the group on the left, those outside its filter as well."""
        sides, mask = self._sides, self._mask
        request = narrowed(sides.left_request(everything=True))
        key_of = left_key_reader(sides, request)
        for rows in self._left.read(request):
            for row in rows:
                key = key_of(row)
                if key is not None and hash(key) & mask in group:
                    yield key, row

    def right_keys(self, group: Collection[int]) -> Iterator[list[Row]]:
        """Keys of the group on the right."""
        sides, mask = self._sides, self._mask
        for rows in self._right.read(narrowed(sides.right_request())):
            yield [row for row in rows if hash(sides.spelled(row)) & mask in group]


def left_key_reader(
    sides: Counterparts, request: ReadRequest
) -> Callable[[Row], Row | None]:
    """A function giving the common key of a row of key columns alone, or None."""
    width = len(request.columns)
    place = {path: i for i, path in enumerate(request.columns)}
    spread = pick([place.get(path, width) for path in sides.left_columns])

    def key_of(row: Row) -> Row | None:
        try:
            return sides.left_key(spread((*row, None)))
        except RecordError:
            return None

    return key_of
