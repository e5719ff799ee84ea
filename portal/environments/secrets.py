"""Connection strings as they may be shown, and their rotation."""

from __future__ import annotations

from django.apps import apps
from django.db import transaction
from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict

from portal.fields import EncryptedTextField

MASK = "•••"


def masked_dsn(dsn: str) -> str:
    """User, host and database of a connection string; nothing else of it."""
    try:
        parts = conninfo_to_dict(dsn)
    except ProgrammingError:
        return MASK
    host = parts.get("host") or parts.get("hostaddr") or "local socket"
    place = f"{host}:{parts['port']}" if parts.get("port") else str(host)
    user = f"{parts['user']}:{MASK}@" if parts.get("user") else ""
    return f"{user}{place}/{parts.get('dbname') or ''}"


@transaction.atomic
def rotate() -> int:
    """Encrypt every stored secret anew with the first key, whatever row it is in;
    gives their number."""
    number = 0
    for model in apps.get_models():
        secret = [
            field.name
            for field in model._meta.fields
            if isinstance(field, EncryptedTextField)
        ]
        for row in model._default_manager.select_for_update() if secret else ():
            row.save(update_fields=secret)
            number += len(secret)
    return number
