"""The mail provider."""

import asyncio
import os


class Unavailable(Exception):
    """Try again."""


class Rejected(Exception):
    """The provider will never take it."""


async def deliver(to: str, template: str, *, key: str) -> None:
    """The provider drops a second mail with the same key."""
    reader, writer = await asyncio.open_connection(os.environ["MAIL_HOST"], 2525)
    writer.write(f"{key} {template} {to}\n".encode())
    answer = await reader.readline()
    if answer.startswith(b"4"):
        raise Unavailable(answer.decode())
    if answer.startswith(b"5"):
        raise Rejected(answer.decode())
