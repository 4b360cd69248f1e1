import httpx


class ReplicaLagging(Exception):
    pass


def count_edits(slug):
    answer = httpx.get("https://wiki.invalid/edits", params={"course": slug}, timeout=120)
    if answer.status_code == 503:
        raise ReplicaLagging(slug)
    return answer.json()
