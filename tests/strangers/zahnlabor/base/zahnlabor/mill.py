"""The milling machine's REST API.

A reference names one job for ever in our books and for 30 days in the mill's: a second POST with it makes
nothing and answers 409. That answer has no job number in it, hence find().
"""

import httpx

from zahnlabor import config
from zahnlabor.errors import MillRejected, MillUnavailable

PASSING = {401, 403, 408, 425, 429}  # a token that is being exchanged is no reason to drop an order


class MillClient:
    def __init__(self, http: httpx.Client):
        self.http = http

    @classmethod
    def from_config(cls) -> "MillClient":
        return cls(
            httpx.Client(
                base_url=config.mill_url(),
                headers={"Authorization": f"Bearer {config.mill_token()}"},
                timeout=httpx.Timeout(20.0, connect=5.0),
            )
        )

    def __enter__(self) -> "MillClient":
        return self

    def __exit__(self, *exc) -> None:
        self.http.close()

    def find(self, reference: str) -> str | None:
        """The number of the job with this reference, if the mill has one."""
        answer = self._call("GET", "/jobs", params={"reference": reference})
        self._check(answer)
        jobs = self._json(answer).get("jobs") or []
        return jobs[0]["number"] if jobs else None

    def submit(self, reference: str, teeth: list[str], material: str, shade: str, model_file: str) -> str:
        answer = self._call(
            "POST",
            "/jobs",
            json={
                "reference": reference,
                "teeth": teeth,
                "material": material,
                "shade": shade,
                "model": model_file,
            },
        )
        if answer.status_code == 409:
            number = self.find(reference)
            if number is None:
                raise MillUnavailable("HTTP 409, but no job yet")
            return number
        self._check(answer)
        return self._json(answer)["number"]

    def _call(self, method: str, path: str, **kwargs) -> httpx.Response:
        try:
            return self.http.request(method, path, **kwargs)
        except httpx.HTTPError as error:
            raise MillUnavailable(type(error).__name__) from None

    @staticmethod
    def _check(answer: httpx.Response) -> None:
        if answer.status_code >= 500 or answer.status_code in PASSING:
            raise MillUnavailable(f"HTTP {answer.status_code}")
        if answer.status_code >= 300:
            raise MillRejected(f"HTTP {answer.status_code}")

    @staticmethod
    def _json(answer: httpx.Response) -> dict:
        try:
            return answer.json()
        except ValueError:
            raise MillUnavailable(f"HTTP {answer.status_code}, no JSON") from None
