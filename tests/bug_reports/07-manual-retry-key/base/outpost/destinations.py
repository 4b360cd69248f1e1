import httpx


class Unavailable(Exception):
    pass


def send(destination, body, idempotency_key):
    try:
        httpx.post(f"https://{destination}.invalid", content=body, headers={"Idempotency-Key": idempotency_key}).raise_for_status()
    except httpx.HTTPError as error:
        raise Unavailable(destination) from error
