import httpx


class Throttled(Exception):
    pass


class Rejected(Exception):
    pass


def send(address, body, message_id):
    """The server takes a message id once."""
    answer = httpx.put(f"https://smtp-api.invalid/{message_id}", json={"to": address, "body": body}, timeout=20)
    if answer.status_code in (421, 429) or answer.status_code >= 500:
        raise Throttled(answer.status_code)
    if answer.status_code >= 400:
        raise Rejected(answer.status_code)
