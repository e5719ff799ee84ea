"""Connection strings: encrypted in the database, never shown, keys can rotate."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from django.core.exceptions import FieldError, ImproperlyConfigured
from django.core.management import call_command
from django.db import connection
from django.test import Client
from pytest_django import Settings

from portal.accounts.models import User
from portal.environments.models import Environment
from portal.environments.secrets import masked_dsn
from tests.factories import make_environment

ROOT = Path(__file__).resolve().parents[2]
DSN = "postgresql://erp:p%40ss-word@db.example:5432/erp?sslmode=require"


def stored(environment: Environment) -> str:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT dsn FROM environments_environment WHERE id = %s", [environment.pk]
        )
        row = cursor.fetchone()
    assert row is not None
    return str(row[0])


@pytest.mark.django_db
def test_the_database_sees_only_ciphers() -> None:
    environment = make_environment(dsn=DSN)
    raw = stored(environment)
    assert "pass" not in raw
    assert "p%40ss" not in raw
    assert "db.example" not in raw
    assert Environment.objects.get().dsn == DSN


@pytest.mark.django_db
def test_equal_secrets_have_different_ciphers_and_cannot_be_searched() -> None:
    first, second = make_environment(dsn=DSN), make_environment(dsn=DSN)
    assert stored(first) != stored(second)
    with pytest.raises(FieldError, match="encrypted"):
        Environment.objects.filter(dsn=DSN).exists()


@pytest.mark.django_db
def test_keys_rotate_without_losing_a_secret(settings: Settings) -> None:
    old, new = (Fernet.generate_key().decode() for _ in range(2))
    settings.FIELD_ENCRYPTION_KEYS = [old]
    environment = make_environment(dsn=DSN)
    settings.FIELD_ENCRYPTION_KEYS = [new, old]
    call_command("rotate_secrets", verbosity=0)
    settings.FIELD_ENCRYPTION_KEYS = [new]
    assert Environment.objects.get(pk=environment.pk).dsn == DSN
    settings.FIELD_ENCRYPTION_KEYS = [old]
    with pytest.raises(ImproperlyConfigured, match="FIELD_ENCRYPTION_KEYS"):
        Environment.objects.get(pk=environment.pk)


@pytest.mark.parametrize(
    ("dsn", "shown"),
    [
        (DSN, "erp:•••@db.example:5432/erp"),
        ("host=h dbname=d user=u password=hunter2", "u:•••@h/d"),
        ("postgresql://h/d?password=hunter2", "h/d"),
        ("nonsense hunter2", "•••"),
        ("dbname=d password=hunter2", "local socket/d"),
    ],
)
def test_a_masked_connection_names_host_user_and_database_only(
    dsn: str, shown: str
) -> None:
    assert masked_dsn(dsn) == shown


@pytest.mark.django_db
def test_admin_pages_never_show_the_secret(client: Client) -> None:
    client.force_login(User.objects.create_superuser("ada"))
    environment = make_environment(dsn=DSN)
    for page in ("", "add/", f"{environment.pk}/change/", f"{environment.pk}/history/"):
        answer = client.get(f"/admin/environments/environment/{page}")
        assert answer.status_code == 200
        text = answer.content.decode()
        assert "p%40ss" not in text
        assert "p@ss" not in text


@pytest.mark.django_db
def test_saving_an_environment_without_a_secret_keeps_it(client: Client) -> None:
    client.force_login(User.objects.create_superuser("ada"))
    environment = make_environment(dsn=DSN)
    form = {
        "connector": "postgres",
        "dsn": "",
        "schema": "sales",
        "company_column": "",
        "company_lookup_table": "",
        "company_lookup_column": "",
    }
    url = f"/admin/environments/environment/{environment.pk}/change/"
    assert client.post(url, form).status_code == 302
    environment.refresh_from_db()
    assert (environment.dsn, environment.schema) == (DSN, "sales")


def start(
    data: Path, arguments: list[str], **variables: str
) -> subprocess.CompletedProcess[str]:
    """A process that reads the settings, with these variables and no others."""
    names = ("SECRET_KEY", "FIELD_ENCRYPTION_KEYS", "DATABASE_URL", "REDIS_URL")
    inherited = {k: v for k, v in os.environ.items() if k not in names}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={
            **inherited,
            "DJANGO_SETTINGS_MODULE": "portal.settings",
            "DUALWRITE_DATA": str(data),
            **variables,
        },
        capture_output=True,
        text=True,
        check=False,
    )


def settings_of(data: Path, **variables: str) -> list[str]:
    """Addresses and secret key as a process with these variables has them."""
    program = (
        "import json; from django.conf import settings as s;"
        "print(json.dumps([s.DATABASE_URL, s.REDIS_URL, s.SECRET_KEY]))"
    )
    done = start(data, ["-c", program], **variables)
    assert done.returncode == 0, done.stderr
    return [str(value) for value in json.loads(done.stdout)]


def test_generated_secrets_are_kept_for_the_owner_only(tmp_path: Path) -> None:
    first = settings_of(tmp_path)
    second = settings_of(tmp_path)
    assert first == second
    assert (tmp_path / "secrets.json").stat().st_mode & 0o777 == 0o600


def test_embedded_addresses_are_used_when_no_variable_names_a_server(
    tmp_path: Path,
) -> None:
    (tmp_path / "embedded.json").write_text(
        json.dumps(
            {"database_url": "postgresql://u:p@h:1/d", "redis_url": "redis://h:2/0"}
        )
    )
    found = settings_of(tmp_path)
    assert found[:2] == ["postgresql://u:p@h:1/d", "redis://h:2/0"]
    found = settings_of(tmp_path, REDIS_URL="redis://other:3/0")
    assert found[:2] == ["postgresql://u:p@h:1/d", "redis://other:3/0"]


def test_a_secret_may_come_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("from-a-file\n")
    found = settings_of(tmp_path, SECRET_KEY_FILE=str(path))
    assert found[2] == "from-a-file"


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"DATABASE_URL": "mysql://h/d"}, "DATABASE_URL must be postgresql://"),
        ({"DATABASE_URL": "postgresql://h:5432"}, "DATABASE_URL names no database"),
        ({"DATABASE_URL": "postgresql://u:p@h:many/d"}, "DATABASE_URL cannot be read"),
        ({"REDIS_URL": "localhost:6379"}, "REDIS_URL must be redis://"),
        ({"FIELD_ENCRYPTION_KEYS": "short"}, "key 1 is not a Fernet key"),
        ({"SECRET_KEY_FILE": "/nowhere/key"}, "SECRET_KEY_FILE points to"),
        ({"DEBUG": "perhaps"}, "DEBUG must be true or false"),
    ],
)
def test_a_malformed_setting_stops_the_start_with_a_sentence(
    tmp_path: Path, variables: dict[str, str], sentence: str
) -> None:
    done = start(tmp_path, ["manage.py", "check"], **variables)
    assert done.returncode == 1
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
