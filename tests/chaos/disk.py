"""A disk that is small enough to fill: a tmpfs under a tablespace of the portal.

Mounted in a mount namespace of this process, which goes away with it: nothing is left
on the machine, however the run ends.
"""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Sequence
from pathlib import Path

import psycopg
from psycopg import sql

from portal.embedded import launch

SIZE = 24 * 1024 * 1024
CLONE_NEWNS, CLONE_NEWUSER = 0x00020000, 0x10000000
MS_REC, MS_PRIVATE = 0x4000, 0x40000
PORTION = 64 * 1024

_libc = ctypes.CDLL(None, use_errno=True)


def enter_namespace() -> bool:
    """Give this process mounts of its own; False where that is not allowed. To be
    called before there is a second thread."""
    user, group = os.geteuid(), os.getegid()
    flags = CLONE_NEWNS if user == 0 else CLONE_NEWNS | CLONE_NEWUSER
    if _libc.unshare(flags) != 0:
        return False
    if user != 0:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    return bool(_libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None) == 0)


class SmallDisk:
    """Holds some tables of the portal, once `use` was called and allowed to."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.mounted = False

    @property
    def _ballast(self) -> Path:
        return self._path / "ballast"

    def use(self, dsn: str, tables: Sequence[str]) -> None:
        """Mount it and move tables there, with their indexes."""
        account = launch.account_for(self._path.parent)
        self._path.mkdir()
        options = f"size={SIZE},mode=0777"
        if _libc.mount(
            b"tmpfs", str(self._path).encode(), b"tmpfs", 0, options.encode()
        ):
            return
        self.mounted = True
        place = self._path / "tables"
        place.mkdir(mode=0o700)
        account.take(place)
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute(
                sql.SQL("CREATE TABLESPACE journal LOCATION {}").format(
                    sql.Literal(str(place))
                )
            )
            for table in tables:
                connection.execute(
                    sql.SQL("ALTER TABLE {} SET TABLESPACE journal").format(
                        sql.Identifier(table)
                    )
                )
                found = connection.execute(
                    "SELECT indexname FROM pg_indexes WHERE tablename = %s", [table]
                ).fetchall()
                for (name,) in found:
                    connection.execute(
                        sql.SQL("ALTER INDEX {} SET TABLESPACE journal").format(
                            sql.Identifier(name)
                        )
                    )

    def fill(self) -> int:
        """Take all that is free; how many bytes that was."""
        taken = 0
        with self._ballast.open("wb", buffering=0) as to:
            for size in (PORTION, 4096):
                try:
                    while True:
                        taken += to.write(b"x" * size)
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
        return taken

    def free(self) -> None:
        """Give it back."""
        self._ballast.unlink(missing_ok=True)

    def close(self) -> None:
        """Unmount it; the servers have ended."""
        if self.mounted:
            _libc.umount2(str(self._path).encode(), 2)
            self.mounted = False
