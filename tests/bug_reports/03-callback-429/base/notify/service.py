import httpx


class CallbackRejected(Exception):
    def __init__(self, status):
        super().__init__(f"service answered {status}")
        self.status = status


async def post_status(url, status, reference):
    """Services are told to ignore a reference that they know."""
    async with httpx.AsyncClient(timeout=5) as client:
        answer = await client.post(url, json={"reference": reference, "status": status})
    if answer.status_code >= 400:
        raise CallbackRejected(answer.status_code)
