"""pushservice client. They do NOT de-duplicate: what is sent twice arrives twice
(collapse_id lets the phone replace the first by the second)."""
import httpx

from .settings import settings


class PushUnavailable(Exception):
    """maybe sent, maybe not"""


class PushRejected(Exception):
    """they will never take this one"""


class DeviceGone(Exception):
    """app uninstalled, nobody to tell"""


class PushService:
    def send(self, device_token, text, collapse_id):
        try:
            r = httpx.post(
                f"{settings.push_url}/send",
                json={"to": device_token, "text": text, "collapse_id": collapse_id},
                headers={"X-Api-Key": settings.push_key.get_secret_value()},
                timeout=httpx.Timeout(10, connect=5),
            )
        except httpx.HTTPError as exc:
            raise PushUnavailable(type(exc).__name__) from exc
        if r.status_code == 410:
            raise DeviceGone()
        if r.status_code >= 500 or r.status_code in (408, 425, 429):
            raise PushUnavailable(f"status {r.status_code}")
        if not r.is_success:
            raise PushRejected(f"status {r.status_code}")


push_service = PushService()
