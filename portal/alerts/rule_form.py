"""The form of an alert rule, in the order a person thinks of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django import forms
from django.contrib.auth.models import Group

from portal.accounts.models import User, time_zones
from portal.alerts.models import AlertRule, Measure, Webhook
from portal.alerts.rule_services import PLAIN, Told
from portal.environments.models import ConnectionSet
from portal.errors.models import ErrorGroup
from portal.maps.models import TableMap
from syncengine.mapping.causes import CODES

MEASURED = (
    *(Measure.ERRORS, Measure.QUEUE_CHANGES, Measure.QUEUE_BYTES),
    *(Measure.QUEUE_MINUTES, Measure.LAG_SECONDS, Measure.RETAINED_BYTES),
    *(Measure.STREAM_DOWN, Measure.DRIFT),
)
ACTING = tuple(one for one in Measure if one != Measure.ANY_ALERT)
WINDOWED = (Measure.ERRORS,)

SECTIONS = (
    (
        "When",
        (
            ("name", ""),
            ("measure", ""),
            ("threshold", " ".join(MEASURED)),
            ("window_minutes", " ".join(WINDOWED)),
            ("connection_set", ""),
            ("table_map", ""),
            ("codes", " ".join(WINDOWED)),
        ),
    ),
    ("Then", (("action", " ".join(ACTING)), ("enabled", ""))),
    (
        "Tell",
        (("users", ""), ("groups", ""), ("recipients", ""), ("webhooks", "")),
    ),
    (
        "How often",
        (
            ("digest", ""),
            ("cooldown_minutes", ""),
            ("quiet_from", ""),
            ("quiet_until", ""),
            ("time_zone", ""),
            ("tell_over", ""),
        ),
    ),
)
"""Titles, and their fields with the measures they matter for (none: all)."""


def codes_of(text: str) -> list[str]:
    """The codes of a rule's text."""
    return [code.strip() for code in text.split(",") if code.strip()]


def kinds(chosen: Sequence[str] = ()) -> list[tuple[str, str]]:
    """Every kind of error with its code and what it means: those that were met come
    first, then the others; the `chosen` ones are there in any case."""
    met = ErrorGroup.objects.order_by("code").values_list("code", flat=True).distinct()
    known = dict.fromkeys((*met, *chosen, *CODES))
    return [
        (
            code,
            f"{CODES[code].meaning} ({code})".capitalize() if code in CODES else code,
        )
        for code in known
    ]


class _Users(forms.ModelMultipleChoiceField):
    def label_from_instance(self, obj: Any) -> str:
        """Name and address, so that one without an address shows."""
        return f"{obj.get_username()} ({obj.email or 'no mail address: inbox only'})"


class _Maps(forms.ModelChoiceField):
    def label_from_instance(self, obj: Any) -> str:
        """With its set: several may have a map of that name."""
        return f"{obj.name} ({obj.connection_set.name})"


def _time() -> forms.TimeInput:
    return forms.TimeInput(format="%H:%M", attrs={"type": "time"})


class RuleForm(forms.ModelForm):
    """All of a rule. `zone` is where the person is who makes a new one."""

    codes = forms.MultipleChoiceField(
        label="Only errors of these kinds",
        required=False,
        help_text="None ticked: errors of every kind.",
        widget=forms.CheckboxSelectMultiple,
    )
    time_zone = forms.ChoiceField(
        label="Time zone",
        help_text="Whose clock the quiet hours and the daily digest go by.",
        choices=lambda: [(name, name) for name in time_zones()],
    )
    users = _Users(
        label="People",
        queryset=User.objects.filter(is_active=True).order_by("username"),
        required=False,
        widget=forms.CheckboxSelectMultiple,
    )
    groups = forms.ModelMultipleChoiceField(
        queryset=Group.objects.order_by("name"),
        required=False,
        widget=forms.CheckboxSelectMultiple,
    )
    webhooks = forms.ModelMultipleChoiceField(
        queryset=Webhook.objects.all(),
        required=False,
        widget=forms.CheckboxSelectMultiple,
    )
    connection_set = forms.ModelChoiceField(
        queryset=ConnectionSet.objects.order_by("name"),
        required=False,
        empty_label="All connection sets",
    )
    table_map = _Maps(
        label="Map",
        queryset=TableMap.objects.select_related("connection_set").order_by("name"),
        required=False,
        empty_label="All maps",
    )
    threshold = forms.IntegerField(
        label="How many", min_value=1, required=False, initial=10
    )
    window_minutes = forms.IntegerField(
        label="Within minutes", min_value=1, required=False, initial=15
    )
    cooldown_minutes = forms.IntegerField(
        label="Not again for minutes",
        min_value=0,
        initial=15,
        help_text="What comes and goes is told once in this time.",
    )

    class Meta:
        model = AlertRule
        fields = (*PLAIN, "users", "groups", "webhooks")
        labels = {"measure": "What to look at"}
        help_texts = {
            "action": "At most once in the window for each map.",
            "recipients": "Addresses of others, separated by commas.",
            "digest": "Collected messages are one mail. Webhooks always go at once.",
            "quiet_from": "Mail waits until they end. They may cross midnight.",
        }
        widgets = {
            "quiet_from": _time(),
            "quiet_until": _time(),
            "recipients": forms.Textarea(attrs={"rows": 2}),
        }

    def __init__(self, *args: Any, zone: str = "UTC", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        new = self.instance.pk is None
        self.initial["codes"] = codes_of(self.instance.codes)
        if new:
            self.initial.setdefault("measure", Measure.ERRORS.value)
        self.initial["time_zone"] = zone if new else self.instance.time_zone
        self.fields["codes"].choices = kinds(self.initial["codes"])  # type: ignore[attr-defined]
        for name, field in self.fields.items():
            single = isinstance(field.widget, forms.CheckboxInput)
            many = isinstance(field.widget, forms.CheckboxSelectMultiple)
            if not (single or many):
                field.widget.attrs["class"] = "dw-input"
            if field.help_text:
                field.widget.attrs["aria-describedby"] = f"id_{name}_helptext"

    def _post_clean(self) -> None:
        """The service checks and saves; the row that is shown stays as it is."""

    def clean(self) -> dict[str, Any]:
        """A map says its connection set by itself."""
        values = dict(self.cleaned_data)
        if values.get("table_map") is not None:
            values["connection_set"] = None
        return values

    def arguments(self) -> dict[str, Any]:
        """What `save_rule` takes."""
        values = {name: self.cleaned_data[name] for name in PLAIN}
        values["codes"] = ", ".join(values["codes"])
        values["threshold"] = values["threshold"] or 1
        values["window_minutes"] = values["window_minutes"] or 15
        told = Told(
            *(self.cleaned_data[name] for name in ("users", "groups", "webhooks"))
        )
        return {**values, "told": told}
