"""What can be wrong with a map, collected while it is analysed.

Codes are the documented ones (spec sync 12.3, `DIPV....`); our own warnings about
value maps and lookups are `VMAP...`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from syncengine.errors import EngineError
from syncengine.mapping.model import ColumnMap, HealthFinding, Severity


class CompilationError(EngineError):
    """The map cannot run as it is; `findings` has every reason at once."""

    code = "map_invalid"

    def __init__(self, map_name: str, findings: tuple[HealthFinding, ...]) -> None:
        shown = "; ".join(f"{f.code} {f.place}: {f.message}" for f in findings[:5])
        more = f" (and {len(findings) - 5} more)" if len(findings) > 5 else ""
        super().__init__(
            f"Map {map_name} cannot run: {shown}{more}",
            details={"map": map_name, "codes": [f.code for f in findings]},
        )
        self.findings = findings


@dataclass
class Problems:
    """Findings in order of discovery. `subject` tells what a finding is about, so
    that one mistake seen from both directions of a map is reported once."""

    found: dict[tuple[str, ...], HealthFinding] = field(default_factory=dict)

    def add(
        self,
        code: str,
        message: str,
        *,
        place: str,
        cure: str,
        subject: tuple[str, ...] = (),
        severity: Severity = Severity.ERROR,
    ) -> None:
        """Note a finding unless the same subject already has one."""
        finding = HealthFinding(code, severity, message, place, cure)
        self.found.setdefault(subject or (code, place), finding)

    def forget(self, code: str, place: str) -> None:
        """Take a finding back that another one says better."""
        self.found.pop((code, place), None)

    def merge(self, other: Problems) -> None:
        """Take over what is not known yet."""
        for subject, finding in other.found.items():
            self.found.setdefault(subject, finding)

    @property
    def all(self) -> list[HealthFinding]:
        """Every finding."""
        return list(self.found.values())

    @property
    def errors(self) -> tuple[HealthFinding, ...]:
        """Those that keep the map from running."""
        return tuple(
            finding
            for finding in self.found.values()
            if finding.severity is Severity.ERROR
        )


def names_of(column_map: ColumnMap) -> tuple[str, str]:
    """Both paths of a line, to tell it from others in either direction."""
    return (column_map.finops or "none", column_map.dataverse or "none")


def mismatch(
    problems: Problems, column_map: ColumnMap, place: str, message: str
) -> None:
    """Note that a type, a default or a transform does not fit a column."""
    problems.add(
        "DIPV1030",
        message,
        place=place,
        cure="Change the column, its type, or the transform.",
        subject=("types", *names_of(column_map)),
    )
