"""The setting `synchronous_standby_names`: read, extended, reduced again."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from syncengine.errors import SetupError

_WHOLE = re.compile(r"(?:(FIRST|ANY)\s+)?(\d+)\s*\((.*)\)", re.IGNORECASE | re.DOTALL)
_NAME = re.compile(r'"((?:[^"]|"")*)"|([^\s,"()]+)')
_SIMPLE = re.compile(r"[a-z_][a-z0-9_]*\Z")
_KEYWORDS = ("first", "any")


@dataclass(frozen=True)
class StandbyNames:
    """Who is waited for: `count` of `names`, the first ones or any."""

    method: str
    count: int
    names: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> StandbyNames:
        """Read the setting in any of the forms the server takes."""
        whole = _WHOLE.fullmatch(text.strip())
        method, count, listed = "FIRST", 1, text
        if whole is not None:
            method = (whole[1] or "FIRST").upper()
            count, listed = int(whole[2]), whole[3]
        names = tuple(
            quoted.replace('""', '"') if quoted or not plain else plain
            for quoted, plain in _NAME.findall(listed)
        )
        return cls(method, count if names else 0, names)

    def has(self, name: str) -> bool:
        """Whether `name` is waited for by name; the server compares so."""
        return name.lower() in (known.lower() for known in self.names)

    def with_name(self, name: str) -> StandbyNames:
        """All who were waited for, and `name`, which comes first: then the rank of each
        other one shows that its session has read the new value.

        Raises SetupError `standby_names_taken` where a commit could then return
        without `name`, or without somebody it waits for now.
        """
        if self.has(name):
            return self
        if "*" in self.names or self.count < len(self.names):
            raise SetupError(
                f"The server waits for some of several standbys already "
                f"(synchronous_standby_names is '{self}'). Ours cannot be added "
                "without changing for whom it waits: name as many standbys as are "
                "to be waited for, for example 'FIRST 1 (standby1)', and try again.",
                code="standby_names_taken",
                details={"value": str(self)},
            )
        return replace(self, count=self.count + 1, names=(name, *self.names))

    def without(self, name: str) -> StandbyNames:
        """All others who were waited for, as before."""
        names = tuple(known for known in self.names if known.lower() != name.lower())
        gone = len(self.names) - len(names)
        count = self.count - gone if self.count == len(self.names) else self.count
        return replace(self, count=min(count, len(names)), names=names)

    def __str__(self) -> str:
        names = ", ".join(_quoted(name) for name in self.names)
        if self.count == len(self.names) == 1 or not self.names:
            return names
        return f"{self.method} {self.count} ({names})"


def _quoted(name: str) -> str:
    if name == "*" or (_SIMPLE.match(name) and name not in _KEYWORDS):
        return name
    return '"' + name.replace('"', '""') + '"'
