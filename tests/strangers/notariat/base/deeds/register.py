"""The canton's public register.

A submission id is one filing: whoever repeats it within 30 days gets the receipt of the first.
"""
import requests
from django.conf import settings

from .errors import FilingRefused, RegisterAway

COMES_BACK = {401, 403, 408, 409, 425, 429}  # 409: the same submission is just being entered


class RegisterClient:
    def __init__(self, session=None):
        self.session = session or requests.Session()

    def submit(self, *, submission_id, number, title, signed_on):
        """File a deed; the register's receipt."""
        try:
            response = self.session.put(
                f"{settings.REGISTER_URL}/submissions/{submission_id}",
                json={"deed": number, "title": title, "signed_on": signed_on},
                headers={"Authorization": f"Bearer {settings.REGISTER_TOKEN}"},
                timeout=(5, 40),
            )
        except requests.RequestException as exc:
            raise RegisterAway(type(exc).__name__) from None
        status = response.status_code
        if status in (200, 201):
            try:
                return str(response.json()["receipt"])
            except (ValueError, KeyError, TypeError):
                raise RegisterAway("no receipt in the answer") from None
        if status >= 500 or status in COMES_BACK:
            raise RegisterAway(f"HTTP {status}")
        raise FilingRefused(f"HTTP {status}")
