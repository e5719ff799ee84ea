"""A TCP proxy that cuts, stalls, slows and half-opens connections on command.

Started as a process: `python -m tests.chaos.proxy erp:5001 crm:5002`, a name and a
port of 127.0.0.1 for each link. It prints one JSON line with the ports it listens on,
then obeys lines `LINK MODE` on standard input; it ends with its input.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import sys

PORTION = 65536
SLOW_BYTES_A_SECOND = 40_000
MODES = ("pass", "stall", "half", "slow", "refuse")


class Link:
    """One address, one target, and how bytes between them fare."""

    def __init__(self, name: str, target: int) -> None:
        self.name = name
        self.target = target
        self.mode = "pass"
        self.port = 0
        self._changed = asyncio.Event()
        self._writers: set[asyncio.StreamWriter] = set()

    async def listen(self) -> None:
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = int(server.sockets[0].getsockname()[1])

    def obey(self, mode: str) -> None:
        """Take on a mode, or cut every connection and stay in the mode there is."""
        if mode == "cut":
            for writer in list(self._writers):
                _reset(writer)
            return
        self.mode = mode
        self._changed.set()
        self._changed = asyncio.Event()

    async def _accept(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if self.mode == "refuse":
            _reset(writer)
            return
        try:
            far_reader, far_writer = await asyncio.open_connection(
                "127.0.0.1", self.target
            )
        except OSError:
            _reset(writer)
            return
        both = (writer, far_writer)
        self._writers.update(both)
        pumps = (
            asyncio.create_task(self._pump(reader, far_writer, back=False)),
            asyncio.create_task(self._pump(far_reader, writer, back=True)),
        )
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            self._writers.difference_update(both)
            for one in both:
                one.close()

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, back: bool
    ) -> None:
        try:
            while data := await reader.read(PORTION):
                while self.mode == "stall" or (self.mode == "half" and back):
                    await self._changed.wait()
                if self.mode == "slow":
                    await asyncio.sleep(len(data) / SLOW_BYTES_A_SECOND)
                writer.write(data)
                await writer.drain()
        except OSError:
            return


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close at once and without a good-bye, as a cut line does."""
    plug = writer.get_extra_info("socket")
    if plug is not None:
        plug.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def run(arguments: list[str]) -> None:
    """Serve all links until standard input ends."""
    links = {}
    for argument in arguments:
        name, _, port = argument.partition(":")
        links[name] = Link(name, int(port))
        await links[name].listen()
    sys.stdout.write(json.dumps({name: link.port for name, link in links.items()}))
    sys.stdout.write("\n")
    sys.stdout.flush()
    orders = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(orders), sys.stdin
    )
    while line := (await orders.readline()).decode():
        name, mode = line.split()
        links[name].obey(mode)


if __name__ == "__main__":
    asyncio.run(run(sys.argv[1:]))
