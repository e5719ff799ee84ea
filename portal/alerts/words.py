"""Alert rules in words."""

from __future__ import annotations

from portal.alerts.models import AlertRule, Digest, Measure, RuleAction
from syncengine.mapping.causes import CODES

_WHEN = {
    Measure.ERRORS: "{n} or more errors within {w} minutes",
    Measure.QUEUE_CHANGES: "{n} or more changes are queued",
    Measure.QUEUE_BYTES: "{n} or more bytes are queued",
    Measure.QUEUE_MINUTES: "a change has been queued for {n} minutes",
    Measure.LAG_SECONDS: "a stream lags {n} seconds or more",
    Measure.RETAINED_BYTES: "a source keeps {n} bytes of log or more",
    Measure.STREAM_DOWN: "a stream has been down for {n} minutes",
    Measure.RUN_DONE: "an initial sync is done",
    Measure.RUN_FAILED: "an initial sync failed",
    Measure.DRIFT: "a comparison found {n} or more differences",
    Measure.ANY_ALERT: "any alert opens",
}
_THEN = {
    RuleAction.NOTIFY: "",
    RuleAction.PAUSE: ", pause the map",
    RuleAction.STOP: ", stop the map",
}
_OFTEN = {
    Digest.AT_ONCE: "",
    Digest.HOURLY: ", collected every hour",
    Digest.DAILY: ", collected once a day",
}


def _kinds(codes: str) -> str:
    """Two kinds of error in words, or how many there are."""
    found = [code.strip() for code in codes.split(",") if code.strip()]
    if len(found) > 2:
        return f"{len(found)} kinds"
    meanings = [CODES[code].meaning if code in CODES else code for code in found]
    return " or ".join(f"the kind \u201c{one}\u201d" for one in meanings)


def sentence(rule: AlertRule) -> str:
    """The rule as one sentence, without whom it tells."""
    when = _WHEN[Measure(rule.measure)].format(
        n=f"{rule.threshold:,}", w=rule.window_minutes
    )
    if rule.measure == Measure.ERRORS and rule.codes:
        when += f" of {_kinds(rule.codes)}"
    if rule.table_map is not None:
        scope = f" in {rule.table_map.name}"
    elif rule.connection_set is not None:
        scope = f" in {rule.connection_set.name}"
    else:
        scope = ""
    then = _THEN[RuleAction(rule.action)]
    return f"When {when}{scope}{then}{_OFTEN[Digest(rule.digest)]}."
