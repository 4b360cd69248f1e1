import httpx


class ModelBusy(Exception):
    pass


def embed(text):
    answer = httpx.post("https://embed.invalid", json={"text": text}, timeout=60)
    if answer.status_code in (429, 503):
        raise ModelBusy(answer.status_code)
    return answer.json()["vector"]
