"""Client of the regional health record."""

import requests
from django.conf import settings


class RegistryError(Exception):
    """Base of all that the registry may say no with."""


class RegistryUnavailable(RegistryError):
    """No answer, or one that says: not now."""


class RegistryBusy(RegistryUnavailable):
    """Throttled; nothing was filed."""

    def __init__(self, retry_after):
        super().__init__(f"busy, asks for {retry_after} s of patience")
        self.retry_after = retry_after


class RegistryRejected(RegistryError):
    """The registry will never take this document."""


class AlreadyFiled(RegistryError):
    """A document with this submission id is there already."""

    def __init__(self, receipt):
        super().__init__(f"filed before, receipt {receipt}")
        self.receipt = receipt


class RegistryClient:
    timeout = (5, 30)

    def __init__(self, session=None):
        self.session = session or requests.Session()
        self.session.headers["Authorization"] = f"Bearer {settings.REGISTRY_TOKEN}"

    def submit(self, *, submission_id, document):
        """File a document; return the receipt.

        The registry keeps submission ids for 30 days and answers a
        repetition with 409 and the receipt of the first time.
        """
        try:
            response = self.session.post(
                f"{settings.REGISTRY_URL}/documents",
                json={"submissionId": submission_id, "document": document},
                timeout=self.timeout,
            )
        except requests.RequestException as exc:
            raise RegistryUnavailable(str(exc)) from exc
        status = response.status_code
        if status == 429:
            wait = response.headers.get("Retry-After", "")
            raise RegistryBusy(int(wait) if wait.isdigit() else 60)
        if status >= 500:
            raise RegistryUnavailable(f"HTTP {status}")
        if status == 409:
            raise AlreadyFiled(self.receipt(response))
        if status >= 400:
            raise RegistryRejected(f"HTTP {status}: {response.text[:200]}")
        return self.receipt(response)

    @staticmethod
    def receipt(response):
        try:
            return response.json()["receipt"]
        except (ValueError, TypeError, KeyError) as exc:
            # Asked again, it tells the receipt with its 409.
            raise RegistryUnavailable("answer without a receipt") from exc
