"""Changes of a large transaction, kept in a temporary file until they are applied.

A transaction is only known to be whole when its commit arrives; held in memory, one of
a million rows would take gigabytes.
"""

from __future__ import annotations

import marshal
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import overload
from weakref import finalize

from syncengine.connectors.base import Change, ChangeKind, Relation
from syncengine.errors import OutageError

_KINDS = {kind.value: kind for kind in ChangeKind}


class SpooledChanges(Sequence[Change]):
    """The changes in their order, in portions as they were added.

    Portions can be read again and again, one reading at a time. The file has no name
    and goes with `close`, or with the process.
    """

    def __init__(self) -> None:
        try:
            self._file = tempfile.TemporaryFile(prefix="dualwrite-")  # noqa: SIM115
        except OSError as error:
            raise _no_room(error) from error
        self.close = finalize(self, self._file.close)
        """Gives the room back."""
        self._relations: dict[Relation, int] = {}
        self._known: list[Relation] = []
        self.kinds: Counter[tuple[str, ChangeKind]] = Counter()
        """How many changes of which kind each table has."""
        self._portions: list[tuple[int, int, int]] = []
        self._count = 0
        self._end = 0

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Change]:
        for _, changes in self.portions():
            yield from changes

    @overload
    def __getitem__(self, index: int) -> Change: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Change]: ...
    def __getitem__(self, index: int | slice) -> Change | Sequence[Change]:
        return list(self)[index]

    def add(self, changes: Sequence[Change]) -> None:
        """Write one portion. Raises OutageError when there is no room for it."""
        data = marshal.dumps(
            [
                (self._number(one.relation), one.kind.value, *_images(one))
                for one in changes
            ]
        )
        try:
            self._file.seek(self._end)
            self._file.write(data)
        except OSError as error:
            raise _no_room(error) from error
        self._count += len(changes)
        self.kinds.update((one.relation.table, one.kind) for one in changes)
        self._portions.append((self._end, len(data), self._count))
        self._end += len(data)

    def _number(self, relation: Relation) -> int:
        number = self._relations.get(relation)
        if number is None:
            number = self._relations[relation] = len(self._known)
            self._known.append(relation)
        return number

    def portions(self, after: int = 0) -> Iterator[tuple[int, list[Change]]]:
        """Portions that end after the first `after` changes: how many changes end
        with each, and its changes."""
        for start, size, count in self._portions:
            if count <= after:
                continue
            self._file.seek(start)
            # Our own file without a name: nobody else could have written to it.
            rows = marshal.loads(self._file.read(size))  # noqa: S302
            yield (
                count,
                [
                    Change(self._known[number], _KINDS[kind], new, old, incomplete)
                    for number, kind, new, old, incomplete in rows
                ],
            )


def _images(change: Change) -> tuple[object, object, bool]:
    return change.new, change.old, change.incomplete


def _no_room(error: OSError) -> OutageError:
    return OutageError(
        "A large transaction could not be kept in the temporary directory of this "
        f"worker ({error.strerror or error}). Make room there, or set TMPDIR to a "
        "place with room.",
        code="temporary_directory_full",
    )
