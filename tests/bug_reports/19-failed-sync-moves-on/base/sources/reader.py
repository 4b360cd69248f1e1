import httpx


class SourceDown(Exception):
    pass


async def changes(source, since):
    async with httpx.AsyncClient(timeout=30) as client:
        answer = await client.get(f"https://{source}.invalid/changes", params={"since": since})
    if answer.status_code >= 500:
        raise SourceDown(source)
    return answer.json()
