"""The environment form: the connection string goes in and never comes out."""

from __future__ import annotations

from typing import Any

from django import forms
from unfold.widgets import UnfoldAdminPasswordWidget

from portal.environments.models import Environment
from portal.environments.secrets import masked_dsn


class EnvironmentForm(forms.ModelForm):
    """An empty connection string keeps the stored one."""

    dsn = forms.CharField(
        label="Connection string",
        required=False,
        strip=True,
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "off"}),
    )

    class Meta:
        model = Environment
        fields = (
            "name",
            "role",
            "connector",
            "dsn",
            "schema",
            "company_column",
            "company_lookup_table",
            "company_lookup_column",
            "company_also",
        )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        stored = self.instance.dsn if self.instance.pk else ""
        self.stored_dsn = stored
        self.initial["dsn"] = ""
        self.fields["dsn"].help_text = (
            f"Now {masked_dsn(stored)}. Leave empty to keep it."
            if stored
            else "postgresql://user:password@host:port/database; kept encrypted and "
            "never shown again."
        )

    def clean_dsn(self) -> str:
        """The new connection string, or the stored one."""
        given = self.cleaned_data["dsn"] or self.stored_dsn
        if not given:
            raise forms.ValidationError("Give the connection string.")
        return str(given)
