"""The carrier: it drops an announcement whose reference it saw in the last 24 hours."""

import asyncio
import os


class Unavailable(Exception):
    """Later it takes more."""


class Rejected(Exception):
    """It will never take this one."""


async def announce(address: str, parcel: int, *, reference: str) -> None:
    """Announces one parcel. Raises Unavailable, TimeoutError or Rejected."""
    reader, writer = await asyncio.open_connection(os.environ["CARRIER_HOST"], 2525)
    writer.write(f"{reference} {parcel} {address}\n".encode())
    answer = await reader.readline()
    if answer.startswith(b"4"):
        raise Unavailable(answer.decode())
    if answer.startswith(b"5"):
        raise Rejected(answer.decode())
