"""The carriers' portal. An announcement is known again by its reference for 14 days."""
import requests

from .config import config


class PortalDown(Exception):
    """No answer, or a broken one: it may have arrived."""


class PortalBusy(Exception):
    """Turned away at the door; come back in retry_after seconds."""

    def __init__(self, retry_after=60):
        super().__init__(f"portal is busy, asks for {retry_after}s")
        self.retry_after = retry_after


class PortalRefused(Exception):
    """The portal will never take this announcement."""


class AlreadyAnnounced(Exception):
    """This reference has been announced before."""


def announce(carrier, reference, object_key, pieces):
    try:
        answer = requests.post(
            f"{config.portal}/v2/announcements",
            json={"carrier": carrier, "reference": reference, "manifest": object_key, "pieces": pieces},
            headers={"X-Api-Key": config.portal_key},
            timeout=(5, 30),
        )
    except requests.RequestException as exc:
        raise PortalDown(f"{type(exc).__name__}: {exc}") from exc
    if answer.status_code == 409:
        raise AlreadyAnnounced(reference)
    if answer.status_code == 429:
        after = answer.headers.get("Retry-After", "")
        raise PortalBusy(min(int(after), 900) if after.isdigit() else 60)
    if answer.status_code >= 500 or answer.status_code == 408:
        raise PortalDown(f"portal answers {answer.status_code}")
    if answer.status_code >= 400:
        raise PortalRefused(f"portal answers {answer.status_code}: {answer.text[:200]}")
