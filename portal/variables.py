"""Where settings come from: environment variables, files named by them, and the
data directory (addresses of the embedded servers, generated secrets)."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet
from django.core.exceptions import ImproperlyConfigured


def read(name: str, default: str = "") -> str:
    """The variable `name`, or the content of the file `name`_FILE points to.

    Raises ImproperlyConfigured when both are given or the file cannot be read.
    """
    value = os.environ.get(name, "")
    path = os.environ.get(f"{name}_FILE", "")
    if value and path:
        raise ImproperlyConfigured(
            f"{name} and {name}_FILE are both set; keep only one of them."
        )
    if not path:
        return value or default
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ImproperlyConfigured(
            f"{name}_FILE points to {path}, which cannot be read "
            f"({error.strerror or error})."
        ) from error


def read_flag(name: str) -> bool:
    """A yes/no variable; unset is no."""
    value = read(name, "false").lower()
    if value in ("1", "true", "yes", "on"):
        return True
    if value in ("0", "false", "no", "off"):
        return False
    raise ImproperlyConfigured(f"{name} must be true or false, not {value!r}.")


def read_whole(name: str, default: int, *, least: int = 0) -> int:
    """A whole number, not below `least`."""
    value = read(name, str(default))
    if not value.isascii() or not value.isdecimal() or int(value) < least:
        raise ImproperlyConfigured(
            f"{name} must be a whole number of at least {least}, not {value!r}."
        )
    return int(value)


def read_choice(name: str, choices: Sequence[str], default: str) -> str:
    """One of a few words."""
    value = read(name, default).lower()
    if value not in choices:
        raise ImproperlyConfigured(
            f"{name} must be one of {', '.join(choices)}, not {value!r}."
        )
    return value


def read_url(name: str) -> str:
    """An address that begins with http:// or https://, or empty."""
    value = read(name)
    if value and not value.startswith(("http://", "https://")):
        raise ImproperlyConfigured(
            f"{name} must begin with https:// or http://, not be {value!r}."
        )
    return value


def read_list(name: str, default: str = "") -> list[str]:
    """A comma-separated variable, without empty parts."""
    return [part.strip() for part in read(name, default).split(",") if part.strip()]


def read_networks(name: str) -> list[IPv4Network | IPv6Network]:
    """Addresses and networks, separated by commas."""
    found = []
    for part in read_list(name):
        try:
            found.append(ip_network(part))
        except ValueError as error:
            raise ImproperlyConfigured(
                f"{name} must hold addresses or networks such as 10.0.0.0/24, "
                f"not {part!r}."
            ) from error
    return found


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file of the data directory; {} when it is not there."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ImproperlyConfigured(
            f"{path} cannot be read as JSON ({error}); mend it or remove it."
        ) from error
    if not isinstance(content, dict):
        raise ImproperlyConfigured(f"{path} must hold a JSON object.")
    return content


def generated_secrets(data: Path) -> Mapping[str, str]:
    """Secrets made once and kept in <data>/secrets.json (readable by its owner only).

    Two processes starting at once agree: the file appears whole or not at all.
    """
    path = data / "secrets.json"
    found = read_json(path)
    if found:
        return found
    made = {
        "secret_key": secrets.token_urlsafe(48),
        "field_encryption_keys": Fernet.generate_key().decode(),
    }
    draft = data / f"secrets.{os.getpid()}.tmp"
    try:
        data.mkdir(parents=True, exist_ok=True)
        draft.touch(mode=0o600)
        draft.write_text(json.dumps(made, indent=1), encoding="utf-8")
        try:
            os.link(draft, path)
        except FileExistsError:
            return read_json(path)
        finally:
            draft.unlink(missing_ok=True)
    except OSError as error:
        raise ImproperlyConfigured(
            f"The generated secrets cannot be written to {path} "
            f"({error.strerror or error}); make the directory writable, or set "
            "SECRET_KEY and FIELD_ENCRYPTION_KEYS."
        ) from error
    return made


def encryption_keys(text: str) -> list[str]:
    """Fernet keys, newest first, out of a comma-separated list."""
    keys = [part.strip() for part in text.split(",") if part.strip()]
    if not keys:
        raise ImproperlyConfigured("FIELD_ENCRYPTION_KEYS names no key.")
    for number, key in enumerate(keys, 1):
        try:
            Fernet(key)
        except ValueError as error:
            raise ImproperlyConfigured(
                f"FIELD_ENCRYPTION_KEYS: key {number} is not a Fernet key "
                "(32 bytes in URL-safe base64)."
            ) from error
    return keys
