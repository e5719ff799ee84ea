"""What services raise when they do not do what was asked: one sentence, one code."""

from __future__ import annotations

from collections.abc import Sequence

from syncengine.mapping.model import HealthFinding


class Refusal(Exception):
    """The service did nothing. `message` is a sentence for an administrator, `code`
    is stable, `reasons` are further sentences, one a line. `script` holds statements
    for a database administrator where they are the cure; it is among the reasons.
    With `retryable` the cause passes by itself, and the same may be asked again."""

    code = "refused"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        reasons: Sequence[str] = (),
        script: str = "",
        retryable: bool = False,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.retryable = retryable
        if code is not None:
            self.code = code
        self.script = script
        self.reasons = (*reasons, script) if script else tuple(reasons)

    def __str__(self) -> str:
        return "\n".join([self.message, *(f"  - {reason}" for reason in self.reasons)])


class NotFound(Refusal):
    """Something was named that does not exist."""

    code = "not_found"


class ActionForbidden(Refusal):
    """The state of a map does not allow the action; nothing was changed."""

    code = "action_forbidden"


class ValidationRefused(Refusal):
    """Maps do not fit their tables; `findings` says all that is wrong at once."""

    code = "validation_failed"

    def __init__(self, message: str, findings: Sequence[HealthFinding]) -> None:
        super().__init__(message, reasons=[_line(finding) for finding in findings])
        self.findings = tuple(findings)


def _line(finding: HealthFinding) -> str:
    place = f" {finding.place}" if finding.place else ""
    return f"{finding.code}{place}: {finding.message} {finding.cure}".strip()


class ConfigurationRefused(Refusal):
    """A configuration cannot be taken over as it is; nothing was changed."""

    code = "configuration_refused"
