"""Model fields of our own: text encrypted at rest."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.core.exceptions import FieldError, ImproperlyConfigured
from django.db import models


@lru_cache(maxsize=4)
def _box(keys: tuple[str, ...]) -> MultiFernet:
    return MultiFernet([Fernet(key) for key in keys])


def secret_box() -> MultiFernet:
    """Encrypts with the first of FIELD_ENCRYPTION_KEYS, reads with any of them."""
    return _box(tuple(settings.FIELD_ENCRYPTION_KEYS))


class EncryptedTextField(models.TextField):
    """Text that the database only ever sees encrypted.

    Keys are apart from SECRET_KEY. To rotate, put a new key first in
    FIELD_ENCRYPTION_KEYS and save the rows again (`manage.py rotate_secrets`); then
    the old key may go. Filtering by the value is refused: equal texts have different
    ciphers.
    """

    def get_prep_value(self, value: Any) -> str | None:
        if value is None:
            return None
        return secret_box().encrypt(str(value).encode()).decode()

    def from_db_value(self, value: str | None, *_: Any) -> str | None:
        if value is None:
            return None
        try:
            return secret_box().decrypt(value.encode()).decode()
        except InvalidToken as error:
            raise ImproperlyConfigured(
                "A stored secret cannot be read with FIELD_ENCRYPTION_KEYS; add the "
                "key it was written with."
            ) from error

    def get_lookup(self, lookup_name: str) -> Any:
        if lookup_name != "isnull":
            raise FieldError(f"{self.name} is encrypted and cannot be searched.")
        return super().get_lookup(lookup_name)
