import os

import httpx


class MailError(Exception):
    """The relay has refused the mail."""


async def report(address, cycle, supplier):
    async with httpx.AsyncClient(timeout=20) as client:
        body = {"to": address, "subject": f"Orders of cycle {cycle}", "text": f"Dear {supplier}, please pack."}
        answer = await client.post(os.environ.get("MARKET_RELAY", "https://relay.invalid/send"), json=body)
    if answer.status_code >= 400:
        raise MailError(answer.status_code)
