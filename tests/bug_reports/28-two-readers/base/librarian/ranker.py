import httpx


class RankerBusy(Exception):
    pass


def rank(chunk):
    answer = httpx.post("https://rank.invalid", json={"chunk": chunk}, timeout=120)
    if answer.status_code in (429, 503):
        raise RankerBusy(answer.status_code)
    return answer.json()["requirement"]
