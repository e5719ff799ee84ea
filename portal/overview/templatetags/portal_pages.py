"""Template tags of the portal's pages: badges, times, numbers and names."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django import template
from django.template.defaultfilters import filesizeformat
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from portal import labels
from portal.activity import changes, queries
from portal.errors.trends import Trend
from portal.pages import COUNT_LIMIT
from syncengine.mapping.model import HealthFinding, Severity

register = template.Library()

MINUTE, HOUR, DAY = 60, 3600, 86400
LONG = 160
BAR, BARS_HIGH = 5, 24
"""Pixels of a sparkline: a step's width, and the highest bar."""


@register.simple_tag
def badge(kind: str, value: str, testid: str = "") -> SafeString:
    """A status as word, icon and colour."""
    shown = labels.label(kind, value)
    return format_html(
        '<span class="dw-badge dw-badge--{}" title="{}" data-state="{}"'
        ' data-word="{}"{}><span class="material-symbols-outlined"'
        ' aria-hidden="true">{}</span>{}</span>',
        shown.tone,
        shown.hint or shown.word,
        value,
        shown.word,
        format_html(' data-testid="{}"', testid) if testid else "",
        shown.icon,
        shown.word,
    )


@register.simple_tag
def icon(name: str) -> SafeString:
    """A decorative icon; the words beside it carry the meaning."""
    return format_html(
        '<span class="material-symbols-outlined" aria-hidden="true">{}</span>', name
    )


@register.filter
def number(value: Any) -> str:
    """A whole number with thousands separators; a dash where there is none."""
    return "–" if value is None else f"{int(value):,}"  # noqa: RUF001


@register.filter
def counted(value: int) -> str:
    """A count that was made no further than the limit."""
    return f"{COUNT_LIMIT:,}+" if value > COUNT_LIMIT else f"{value:,}"


@register.filter
def duration(seconds: Any) -> str:
    """Seconds as a person says them: `0.4 s`, `12 s`, `3 min`, `2 h`, `5 d`."""
    if seconds is None:
        return "–"  # noqa: RUF001
    value = max(float(seconds), 0.0)
    if value < 10:
        return f"{value:.1f} s"
    if value < 2 * MINUTE:
        return f"{value:.0f} s"
    if value < 2 * HOUR:
        return f"{value / MINUTE:.0f} min"
    if value < 2 * DAY:
        return f"{value / HOUR:.0f} h"
    return f"{value / DAY:.0f} d"


@register.filter
def latency(seconds: Any) -> str:
    """A short time in milliseconds, a longer one as `duration` says it."""
    if seconds is None:
        return "–"  # noqa: RUF001
    value = max(float(seconds), 0.0)
    return duration(value) if value >= 1 else f"{value * 1000:.0f} ms"


@register.filter
def ago(moment: datetime | None) -> SafeString | str:
    """How long ago, or until when, with the exact time on hover; a script keeps it
    true while the page is open."""
    if moment is None:
        return "–"  # noqa: RUF001
    seconds = (timezone.now() - moment).total_seconds()
    if abs(seconds) < 5:
        text = "just now"
    else:
        text = f"{duration(seconds)} ago" if seconds > 0 else f"in {duration(-seconds)}"
    return _time(moment, text, SafeString(" data-ago"))


@register.filter
def clock(value: datetime | None) -> SafeString | str:
    """The time of today, else the date as well, in the user's time zone."""
    if value is None:
        return "–"  # noqa: RUF001
    value = timezone.localtime(value)
    today = value.date() == timezone.localdate()
    return _time(value, f"{value:%H:%M}" if today else f"{value:%Y-%m-%d %H:%M}")


@register.filter
def moment(value: datetime | None) -> SafeString | str:
    """An exact time in the user's time zone."""
    if value is None:
        return "–"  # noqa: RUF001
    value = timezone.localtime(value)
    return _time(value, f"{value:%Y-%m-%d %H:%M:%S}")


def _time(value: datetime, text: str, more: str = "") -> SafeString:
    local = timezone.localtime(value)
    return format_html(
        '<time datetime="{}" title="{}"{}>{}</time>',
        value.isoformat(),
        f"{local:%Y-%m-%d %H:%M:%S %Z}",
        more,
        text,
    )


_BROWSERS = (
    ("Edg/", "Edge"),
    ("OPR/", "Opera"),
    ("Firefox/", "Firefox"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
    ("curl/", "curl"),
    ("python", "A Python program"),
)
_SYSTEMS = (
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
)


@register.filter
def browser(agent: str) -> str:
    """What a browser calls itself, in two words."""
    name = next((word for sign, word in _BROWSERS if sign in agent), "A browser")
    system = next((word for sign, word in _SYSTEMS if sign in agent), "")
    return f"{name} on {system}" if system else name


@register.filter
def size(value: Any) -> str:
    """Bytes as a person reads them; a dash where nothing is known."""
    return "–" if value is None else filesizeformat(value)  # noqa: RUF001


@register.filter
def side(value: str) -> str:
    """The name of a side."""
    return labels.SIDES.get(value, value)


@register.filter
def policy(value: str) -> str:
    """The name of a conflict policy."""
    return labels.POLICIES.get(value, value)


@register.filter
def direction(value: str) -> str:
    """A direction in words."""
    return labels.DIRECTIONS.get(value, value)


@register.simple_tag
def arrow(value: str) -> SafeString:
    """A direction as short text with an arrow, read aloud in words."""
    source, _, target = value.partition("_to_")
    return format_html(
        '<span class="dw-nowrap"><span aria-hidden="true">{} → {}</span>'
        '<span class="dw-sr">{}</span></span>',
        labels.SIDES.get(source, source),
        labels.SIDES.get(target, target),
        direction(value),
    )


@register.filter
def source_side(direction: str) -> str:
    """The name of the side a direction starts at."""
    return side(direction.partition("_to_")[0])


@register.filter
def target_side(direction: str) -> str:
    """The name of the side a direction ends at."""
    return side(direction.partition("_to_")[2])


@register.simple_tag
def sparkline(trend: Trend) -> SafeString:
    """Bars, one a step, the newest on the right; in words for those who do not see
    them."""
    most = max(trend.numbers, default=0) or 1
    # Two shapes, not one for each bar: a list shows hundreds of them.
    bars = [
        f"M{place * BAR} {BARS_HIGH}v-{_height(number, most)}h{BAR - 1}V{BARS_HIGH}z"
        for place, number in enumerate(trend.numbers)
    ]
    return format_html(
        '<svg class="dw-spark" viewBox="0 0 {wide} {high}" width="{wide}"'
        ' height="{high}" role="img" aria-label="{words}" data-testid="trend">'
        '<title>{words}</title><path d="{older}"/><path d="{newest}"/></svg>',
        wide=len(trend.numbers) * BAR,
        high=BARS_HIGH,
        words=trend.words,
        older="".join(bars[:-1]),
        newest="".join(bars[-1:]),
    )


def _height(number: int, most: int) -> int:
    """At least a line on the ground, so that the steps can be seen."""
    return max(1, round(BARS_HIGH * number / most)) if number else 1


@register.filter
def phase(value: str) -> str:
    """The phase a record failed in."""
    return labels.PHASES.get(value, value)


@register.filter
def percent(part: Any, whole: Any) -> int:
    """How much of the whole is done, 0 to 100."""
    if not whole:
        return 0
    return max(0, min(100, int(100 * int(part or 0) / int(whole))))


@register.filter
def breakable(name: str) -> SafeString:
    """A column's name that a narrow table may break after a dot or underscore."""
    parts = [part for part in re.split(r"(?<=[._])", name) if part]
    return format_html_join(SafeString("<wbr>"), "{}", ((part,) for part in parts))


@register.filter
def cell(value: Any) -> SafeString | str:
    """A value of a record; null and empty text are told apart."""
    if value is None:
        return format_html('<span class="dw-muted">{}</span>', "null")
    if value == "":
        return format_html('<span class="dw-muted">{}</span>', "empty text")
    text = str(value)
    if len(text) <= LONG:
        return text
    return format_html(
        "<details><summary>{}… ({} characters)</summary>{}</details>",
        text[: LONG // 2],
        f"{len(text):,}",
        text,
    )


@register.filter
def changes_of(details: Any) -> list[dict[str, Any]]:
    """The old and new values an event of the activity log tells of."""
    return changes.changes_of(details) if isinstance(details, dict) else []


@register.filter
def told(value: Any) -> str:
    """An old or new value."""
    if value is None or value == "":
        return "nothing"
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


@register.filter
def kind_words(kind: str) -> str:
    """The kind of an event as a person reads it."""
    return queries.kind_words(kind)


@register.filter
def serious(findings: Iterable[HealthFinding]) -> list[HealthFinding]:
    """The findings that need somebody: errors and warnings."""
    return [one for one in findings if one.severity is not Severity.INFO]


@register.filter
def good_to_know(findings: Iterable[HealthFinding]) -> list[HealthFinding]:
    """The findings that only inform."""
    return [one for one in findings if one.severity is Severity.INFO]
