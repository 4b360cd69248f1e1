"""The partners' dock calendar."""
import httpx

from foodbank import conf


class DockConfused(Exception):
    """It said yes, but not to what."""


def book(pickup):
    """Take a slot at the dock. The calendar knows the request by its key: the same key, the same slot."""
    with httpx.Client(base_url=conf.DOCK_URL, timeout=httpx.Timeout(20, connect=5)) as client:
        answer = client.post(
            "/slots",
            json={"dock": pickup["partner"], "day": pickup["day"], "crates": pickup["crates"]},
            headers={
                "Authorization": f"Bearer {conf.DOCK_TOKEN}",
                "Idempotency-Key": f"foodbank-pickup-{pickup['id']}",
            },
        )
    answer.raise_for_status()
    try:
        slot = answer.json()
        return str(slot["slot_id"]), str(slot["from"])
    except (ValueError, KeyError, TypeError):
        raise DockConfused(f"HTTP {answer.status_code} without a slot") from None
