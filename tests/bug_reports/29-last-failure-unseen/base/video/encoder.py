import httpx


class NotReady(Exception):
    pass


class Broken(Exception):
    pass


def fetch_result(uuid):
    """Where the encoded video lies."""
    answer = httpx.get(f"https://encoder.invalid/videos/{uuid}", timeout=20)
    if answer.status_code == 422:
        raise Broken(uuid)
    if answer.status_code != 200:
        raise NotReady(uuid)
    return answer.json()["location"]
