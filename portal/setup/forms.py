"""The wizard's form of a new environment."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from django import forms

from portal.environments.models import NAME, Environment
from syncengine.mapping.model import Side

COMPANY = (
    "company_column",
    "company_lookup_table",
    "company_lookup_column",
    "company_also",
)


def _text(label: str, *, help: str = "", **kwargs: Any) -> forms.CharField:
    widget = forms.TextInput(
        attrs={
            "class": "dw-input",
            "autocomplete": "off",
            "autocapitalize": "off",
            "spellcheck": "false",
        }
    )
    return forms.CharField(
        label=label,
        help_text=help,
        widget=widget,
        **{"required": False, "max_length": 200, **kwargs},
    )


class NewEnvironmentForm(forms.Form):
    """Where a system is reached: by its parts, or by a connection string."""

    name = _text("Name in the portal", required=True, max_length=100)
    host = _text("Server")
    port = forms.IntegerField(
        label="Port",
        required=False,
        initial=5432,
        min_value=1,
        max_value=65535,
        widget=forms.NumberInput(attrs={"class": "dw-input"}),
    )
    database = _text("Database")
    user = _text("Account")
    password = forms.CharField(
        label="Password",
        required=False,
        strip=False,
        widget=forms.PasswordInput(
            attrs={"class": "dw-input", "autocomplete": "new-password"}
        ),
    )
    dsn = forms.CharField(
        label="Or a connection string",
        required=False,
        help_text="postgresql://account:password@server:5432/database",
        widget=forms.PasswordInput(attrs={"class": "dw-input", "autocomplete": "off"}),
    )
    schema = _text("Schema", initial="public", max_length=63)
    company_column = _text("Column with a record's company", max_length=63)
    company_lookup_table = _text("Table it leads to", max_length=63)
    company_lookup_column = _text("Column there with the code", max_length=63)
    company_also = _text("Other names of the column", max_length=500)

    CONNECTION = ("host", "port", "database", "user", "password")
    MORE = ("dsn", "schema", *COMPANY)

    def __init__(self, *args: Any, side: Side, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.side = side
        self.fields["name"].validators.append(NAME)

    def clean(self) -> dict[str, Any]:
        """A server and a database, or a connection string."""
        values: dict[str, Any] = super().clean() or self.cleaned_data
        if not values.get("dsn"):
            for name in ("host", "database", "user"):
                if not values.get(name):
                    self.add_error(name, "Fill this in, or give a connection string.")
        name = values.get("name")
        if name and Environment.objects.filter(name=name).exists():
            self.add_error("name", f"There is an environment {name} already.")
        return values

    @property
    def more(self) -> bool:
        """True when something of the folded part was filled in or is wrong."""
        return any(
            self[name].errors or (self[name].value() or "") not in ("", "public")
            for name in self.MORE
        )

    def connection(self) -> list[forms.BoundField]:
        """The fields that say where the system is."""
        return [self[name] for name in self.CONNECTION]

    def folded(self) -> list[forms.BoundField]:
        """The fields that are rarely needed."""
        return [self[name] for name in self.MORE]

    def dsn_value(self) -> str:
        """The connection string as it is kept."""
        values = self.cleaned_data
        if values["dsn"]:
            return str(values["dsn"])
        password = (
            f":{quote(values['password'], safe='')}" if values["password"] else ""
        )
        host = values["host"]
        if ":" in host and not host.startswith("["):
            host = f"[{host}]"
        return (
            f"postgresql://{quote(values['user'], safe='')}{password}@"
            f"{host}:{values['port'] or 5432}/{quote(values['database'], safe='')}"
        )

    def unsaved(self) -> Environment:
        """The environment as it would be stored."""
        values = self.cleaned_data
        return Environment(
            name=values["name"],
            role=self.side.value,
            dsn=self.dsn_value(),
            schema=values["schema"] or "public",
            **{name: values[name] for name in COMPANY},
        )
