"""Reads YAML nodes strictly and collects everything wrong, each with its place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

import yaml

from syncengine.errors import EngineError

_Choice = TypeVar("_Choice", bound=StrEnum)
_BOOLEANS = {"true": "True", "false": "False"}
_NULL_TAG = "tag:yaml.org,2002:null"
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class FileProblem:
    """One mistake: where (`maps[2].columns[5].type`, line from 1) and what."""

    place: str
    message: str
    line: int | None = None

    def __str__(self) -> str:
        line = f"line {self.line}: " if self.line else ""
        place = f"{self.place}: " if self.place else ""
        return f"{line}{place}{self.message}"


class FileError(EngineError):
    """A configuration file cannot be used; `problems` are all its mistakes."""

    code = "file_invalid"

    def __init__(self, problems: Sequence[FileProblem]) -> None:
        listed = "\n".join(str(problem) for problem in problems)
        count = len(problems)
        super().__init__(
            f"The file has {count} problem{'' if count == 1 else 's'}:\n{listed}",
            details={"problems": [str(problem) for problem in problems]},
        )
        self.problems = tuple(problems)


class NodeReader:
    """Takes a YAML text apart. Nothing raises before `finish`, except bad syntax;
    what cannot be read is noted and replaced by an empty value."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._problems: list[FileProblem] = []

    def problem(self, place: str, message: str, node: yaml.Node | None = None) -> None:
        """Note a mistake."""
        line = node.start_mark.line + 1 if node is not None else None
        self._problems.append(FileProblem(place, message, line))

    def finish(self) -> None:
        """Raise FileError if anything was wrong."""
        if self._problems:
            raise FileError(self._problems)

    def compose(self) -> yaml.Node:
        """The root node. FileError when the text is not one YAML document."""
        try:
            root: yaml.Node | None = yaml.compose(self._text, Loader=_LOADER)
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            reason = getattr(error, "problem", None) or str(error)
            line = mark.line + 1 if mark else None
            raise FileError(
                [FileProblem("", f"This is not YAML: {reason}.", line)]
            ) from error
        if root is None:
            raise FileError([FileProblem("", "The file is empty.")])
        return root

    def mapping(
        self,
        node: yaml.Node,
        place: str,
        *,
        required: Iterable[str] = (),
        optional: Iterable[str] = (),
    ) -> dict[str, yaml.Node]:
        """The fields of a mapping; unknown, doubled and missing ones are noted."""
        if not isinstance(node, yaml.MappingNode):
            self.problem(place, "A mapping (name: value) is expected here.", node)
            return {}
        required, optional = tuple(required), tuple(optional)
        fields: dict[str, yaml.Node] = {}
        for key, value in node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else "?"
            at = f"{place}.{name}" if place else name
            if name not in required and name not in optional:
                known = ", ".join((*required, *optional))
                self.problem(at, f"Unknown; known here are {known}.", key)
            elif name in fields:
                self.problem(at, "Given twice.", key)
            else:
                fields[name] = value
        for name in required:
            if name not in fields:
                at = f"{place}.{name}" if place else name
                self.problem(at, "Missing.", node)
        return fields

    def items(
        self, fields: Mapping[str, yaml.Node], name: str, place: str
    ) -> Iterator[tuple[yaml.Node, str]]:
        """The entries of a list, each with its place; none when absent."""
        node = fields.get(name)
        if node is None or _is_null(node):
            return
        at = f"{place}.{name}" if place else name
        if not isinstance(node, yaml.SequenceNode):
            self.problem(at, "A list is expected here.", node)
            return
        for i, entry in enumerate(node.value):
            yield entry, f"{at}[{i}]"

    def scalar(self, node: yaml.Node, place: str) -> str | None:
        """A single value as text; None for null."""
        if not isinstance(node, yaml.ScalarNode):
            self.problem(place, "A single value is expected here.", node)
            return None
        if _is_null(node):
            return None
        value: str = node.value
        if not node.style and value.casefold() in _BOOLEANS:
            return _BOOLEANS[value.casefold()]
        return value

    def required_scalar(self, node: yaml.Node, place: str) -> str:
        """A single value as text; it may be empty text, but not null."""
        value = self.scalar(node, place)
        if value is None and isinstance(node, yaml.ScalarNode):
            self.problem(place, "A value is expected; blank stands for none.", node)
        return value or ""

    def text(
        self,
        fields: Mapping[str, yaml.Node],
        name: str,
        place: str,
        default: str | None = None,
    ) -> str:
        """A text field. Without a default it must not be empty."""
        node = fields.get(name)
        if node is None:
            return default or ""
        at = f"{place}.{name}"
        if not isinstance(node, yaml.ScalarNode):
            self.problem(at, "A single value is expected here.", node)
            return default or ""
        value = "" if _is_null(node) else node.value
        if not value and default is None:
            self.problem(at, "A value is expected here.", node)
        return value

    def flag(self, fields: Mapping[str, yaml.Node], name: str, place: str) -> bool:
        """A field that is true or false; false when absent."""
        node = fields.get(name)
        if node is None:
            return False
        value = node.value.casefold() if isinstance(node, yaml.ScalarNode) else ""
        if value not in _BOOLEANS:
            self.problem(f"{place}.{name}", "true or false is expected here.", node)
        return bool(value == "true")

    def texts(
        self, fields: Mapping[str, yaml.Node], name: str, place: str
    ) -> tuple[str, ...]:
        """A list of single values, none of them null."""
        return tuple(
            self.required_scalar(node, at)
            for node, at in self.items(fields, name, place)
        )

    def choice(
        self,
        fields: Mapping[str, yaml.Node],
        name: str,
        place: str,
        choices: type[_Choice],
        default: _Choice,
    ) -> _Choice:
        """One of an enumeration's values; the default when absent or wrong."""
        node = fields.get(name)
        if node is None:
            return default
        value = node.value if isinstance(node, yaml.ScalarNode) else None
        for member in choices:
            if member.value == value:
                return member
        allowed = ", ".join(member.value for member in choices)
        self.problem(
            f"{place}.{name}", f"{value or 'This'} is not one of {allowed}.", node
        )
        return default

    def pair(self, node: yaml.Node, place: str) -> tuple[str, str]:
        """A list of two texts: finops, dataverse."""
        if not isinstance(node, yaml.SequenceNode) or len(node.value) != 2:
            self.problem(
                place, "A pair [finops column, dataverse column] is expected.", node
            )
            return "", ""
        both = [
            self.scalar(entry, f"{place}[{i}]") for i, entry in enumerate(node.value)
        ]
        if None in both:
            self.problem(place, "Both parts of a pair need a value.", node)
        return both[0] or "", both[1] or ""

    def pairs(
        self, fields: Mapping[str, yaml.Node], name: str, place: str
    ) -> tuple[tuple[str, str], ...] | None:
        """A value map: a mapping, or a list of pairs where a value comes twice."""
        node = fields.get(name)
        if node is None or _is_null(node):
            return None
        at = f"{place}.{name}"
        if isinstance(node, yaml.SequenceNode):
            return tuple(
                self.pair(entry, f"{at}[{i}]") for i, entry in enumerate(node.value)
            )
        if not isinstance(node, yaml.MappingNode):
            self.problem(at, "A mapping (finops value: dataverse value).", node)
            return None
        result: dict[str, str] = {}
        for key, value in node.value:
            given, mapped = self.scalar(key, at), self.scalar(value, at)
            if given is None or mapped is None:
                self.problem(at, "Both values of a pair must be given.", key)
            elif given in result:
                self.problem(
                    at,
                    f"{given} comes twice; write pairs as a list if that is meant.",
                    key,
                )
            else:
                result[given] = mapped
        return tuple(result.items())


def _is_null(node: yaml.Node) -> bool:
    return (
        isinstance(node, yaml.ScalarNode) and node.tag == _NULL_TAG and not node.style
    )
