"""The clinics' gateway. It remembers message ids for thirty days."""
import httpx

from labtrack.config import settings


class GatewayUnavailable(Exception):
    """No answer, or none that settles it; the submission may have arrived."""


class SubmissionRefused(Exception):
    """The gateway will not have this submission."""


class AlreadySubmitted(Exception):
    """The gateway has this message already; `receipt` is the one it gave then."""

    def __init__(self, receipt):
        super().__init__(receipt)
        self.receipt = receipt


class ClinicGateway:
    def __init__(self, transport=None):
        self.transport = transport

    def submit(self, message_id, clinic, document_key, digest):
        """Submit a report; returns the gateway's receipt."""
        try:
            with httpx.Client(base_url=settings.gateway_url, timeout=20, transport=self.transport) as client:
                response = client.post(
                    f"/clinics/{clinic}/submissions",
                    headers={"Authorization": f"Bearer {settings.gateway_token}",
                             "X-Message-Id": message_id},
                    json={"document": document_key, "sha256": digest})
        except httpx.TransportError as error:
            raise GatewayUnavailable(f"{type(error).__name__}: {error}") from error
        if response.status_code == 409:
            raise AlreadySubmitted(response.json()["receipt"])
        if response.status_code == 429 or response.status_code >= 500:
            raise GatewayUnavailable(f"status {response.status_code}")
        if response.is_error:
            raise SubmissionRefused(f"status {response.status_code}: {response.text[:200]}")
        return response.json()["receipt"]
