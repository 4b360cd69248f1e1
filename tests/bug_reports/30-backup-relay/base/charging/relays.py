import httpx


class NoAnswer(Exception):
    pass


def _send(host, address, text, message_id):
    try:
        httpx.put(f"https://{host}/messages/{message_id}", json={"to": address, "text": text}, timeout=15).raise_for_status()
    except httpx.HTTPError as error:
        raise NoAnswer(host) from error


def send_primary(address, text, message_id):
    """Each relay takes a message id once; they know nothing of each other."""
    _send("relay-a.invalid", address, text, message_id)


def send_backup(address, text, message_id):
    _send("relay-b.invalid", address, text, message_id)
