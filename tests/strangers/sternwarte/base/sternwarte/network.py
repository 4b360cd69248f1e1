"""The Telescope Network. A reservation is PUT under an id of ours; PUTting it again
gives back the reservation that is there, for as long as it is kept (400 days)."""
import httpx

from . import config


class NetworkDown(Exception):
    """No answer, or none to rely on. The reservation may or may not exist."""


class SlotTaken(Exception):
    """Somebody else has the slot. Nothing was reserved for us."""


class NetworkRefused(Exception):
    """The partner understood and does not want it, today or tomorrow."""


class TelescopeNetwork:
    def __init__(self, base_url=None, token=None, transport=None):
        self._http = httpx.Client(
            base_url=base_url or config.NETWORK_URL,
            headers={"Authorization": f"Bearer {token or config.NETWORK_TOKEN}"},
            timeout=httpx.Timeout(20, connect=5),
            transport=transport,
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._http.close()

    def reserve(self, reservation_id, telescope, night, slot):
        """Returns the partner's number of the reservation."""
        try:
            answer = self._http.put(
                f"/reservations/{reservation_id}",
                json={"telescope": telescope, "night": night, "slot": slot},
            )
        except httpx.HTTPError as exc:
            raise NetworkDown(type(exc).__name__) from exc
        if answer.status_code == 409:
            raise SlotTaken(reservation_id)
        if answer.status_code in (408, 425, 429) or answer.status_code >= 500:
            raise NetworkDown(f"status {answer.status_code}")
        if not answer.is_success:
            raise NetworkRefused(f"status {answer.status_code}")
        try:
            return str(answer.json()["number"])
        except (ValueError, KeyError, TypeError) as exc:
            raise NetworkDown("an answer without a number") from exc
