import requests

from apotheke import config

# 401, 403: our token has run out, which says nothing about the claim.
# 409: the insurer is still at an earlier request with the same key.
PASSING_STATUS = {401, 403, 408, 409, 425, 429}


class InsurerAway(Exception):
    """Nothing is known about the claim; it may have arrived."""


class ClaimRefused(Exception):
    """The insurer has read the claim and does not pay."""


class InsurerGateway:
    def __init__(self, base_url: str | None = None, token: str | None = None):
        self._url = base_url or config.INSURER_URL
        self._session = requests.Session()
        self._session.headers["Authorization"] = f"Bearer {token or config.INSURER_TOKEN}"

    def submit(self, submission_key: str, insured_no: str, pzn: str, amount_cents: int) -> str:
        """The insurer's reference. It answers a key that it knows with the first reference."""
        try:
            answer = self._session.post(
                f"{self._url}/claims",
                json={"insured": insured_no, "pzn": pzn, "amount": amount_cents},
                headers={"Idempotency-Key": submission_key},
                timeout=config.INSURER_TIMEOUT,
                allow_redirects=False,
            )
            answer.raise_for_status()
            return str(answer.json()["reference"])
        except requests.HTTPError as error:
            status = error.response.status_code
            if status >= 500 or status in PASSING_STATUS:
                raise InsurerAway(f"status {status}") from None
            raise ClaimRefused(f"status {status}") from None
        except (requests.RequestException, ValueError, KeyError, TypeError) as error:
            raise InsurerAway(type(error).__name__) from None
