import httpx


class RelayDown(Exception):
    pass


def send(address, text, reference):
    """The relay sends a reference once."""
    try:
        httpx.put(f"https://relay.invalid/{reference}", json={"to": address, "text": text}, timeout=10).raise_for_status()
    except httpx.HTTPError as error:
        raise RelayDown(reference) from error
