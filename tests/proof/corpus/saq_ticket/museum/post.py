"""The post office's gateway: it drops a mail whose reference it saw in the last 24 hours."""

import asyncio
import os


class Unavailable(Exception):
    """Later it takes more."""


class Rejected(Exception):
    """It will never take this one."""


async def send(to: str, sale: int, *, reference: str) -> None:
    """Sends one ticket. Raises Unavailable, TimeoutError or Rejected."""
    reader, writer = await asyncio.open_connection(os.environ["POST_HOST"], 2525)
    writer.write(f"{reference} {to} your ticket {sale}\n".encode())
    answer = await reader.readline()
    if answer.startswith(b"4"):
        raise Unavailable(answer.decode())
    if answer.startswith(b"5"):
        raise Rejected(answer.decode())
