"""What the subcommands of `dw` take and give back."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass
class Result:
    """The outcome of a command: the JSON document, the text for people, the exit
    code, and the message for standard error where it failed."""

    document: dict[str, Any] = field(default_factory=dict)
    text: str = ""
    code: int = 0
    error: str = ""

    @classmethod
    def failure(
        cls, name: str, message: str, reasons: Sequence[str] = (), code: int = 1
    ) -> Result:
        """A command that did nothing, and why."""
        return cls(
            document={
                "error": {"code": name, "message": message, "reasons": list(reasons)}
            },
            code=code,
            error="\n".join([message, *(f"  - {reason}" for reason in reasons)]),
        )


class Stream(Protocol):
    """Where a line can be written to."""

    def write(self, text: str) -> object:
        """Write one line."""


class Console:
    """Progress, on standard error; the same line is not repeated."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._last = ""

    def progress(self, line: str) -> None:
        """Show a line unless it is the one shown last."""
        if line != self._last:
            self._last = line
            self._stream.write(line)


Handler = Callable[[argparse.Namespace, Console], Result]


class Add(Protocol):
    """Adds a subcommand and gives its parser."""

    def __call__(
        self, name: str, handler: Handler, help: str
    ) -> argparse.ArgumentParser: ...


def table(rows: Sequence[Sequence[object]], header: Sequence[str]) -> str:
    """Rows under a header in aligned columns."""
    lines = [[str(cell) for cell in row] for row in [header, *rows]]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) for cell, width in zip(line, widths, strict=True)
        ).rstrip()
        for line in lines
    )
