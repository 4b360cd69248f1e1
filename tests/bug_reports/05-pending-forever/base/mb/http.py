import httpx


class Failing(Exception):
    pass


def post(webhook_id, event, token):
    if httpx.post(f"https://hooks.invalid/{webhook_id}", json={"event": event, "token": token}).status_code >= 500:
        raise Failing(webhook_id)
