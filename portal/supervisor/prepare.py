"""Brings the portal's database up to date and makes its first administrator."""

from __future__ import annotations

import os
import secrets
import sys
from pathlib import Path

import django

ADMINISTRATOR = "admin"
PASSWORD_FILE = "admin-password"  # noqa: S105 - the name of a file


def migrate() -> None:
    """Apply the migrations that are missing."""
    from django.core.management import call_command

    call_command("migrate", verbosity=0, interactive=False)


def ensure_administrator(data: Path) -> None:
    """Make the first administrator with a generated password, kept in `data`.

    An administrator that exists is left alone; a kept password that no longer
    opens the account (it was changed) is forgotten.
    """
    from django.contrib.auth import get_user_model

    users = get_user_model()._default_manager
    kept = data / PASSWORD_FILE
    user = users.filter(username=ADMINISTRATOR).first()
    if user is not None:
        if kept.exists() and not user.check_password(kept.read_text().strip()):
            kept.unlink()
        return
    if users.filter(is_superuser=True).exists():
        return
    password = secrets.token_urlsafe(12)
    kept.unlink(missing_ok=True)
    with os.fdopen(os.open(kept, os.O_CREAT | os.O_WRONLY, 0o600), "w") as to:
        to.write(password + "\n")
    users.create_superuser(  # type: ignore[attr-defined]
        username=ADMINISTRATOR, email="", password=password
    )


def main() -> None:
    """Run as a process of its own, so that the supervisor stays small."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
    from django.core.exceptions import ImproperlyConfigured
    from django.db import DatabaseError

    try:
        django.setup()
        from django.conf import settings

        migrate()
        ensure_administrator(Path(settings.DATA_DIR))

        from portal.sample.services import follow_server

        follow_server()
    except ImproperlyConfigured as error:
        sys.exit(f"The portal cannot start: {error}")
    except (DatabaseError, OSError) as error:
        sys.exit(f"The portal's database cannot be prepared: {error}")


if __name__ == "__main__":
    main()
