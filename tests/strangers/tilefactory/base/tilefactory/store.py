"""A client of the object store. Its methods are named as boto3's are."""
import requests

from tilefactory import settings


class StoreError(Exception):
    """Something went wrong with the object store."""


class StoreUnavailable(StoreError):
    """No answer, or one that says: later."""


class AccessDenied(StoreError):
    """The store does not let us in."""


class InvalidObject(StoreError):
    """The store does not take this object."""


class ObjectStore:
    def __init__(self, url: str, token: str, timeout: float = 30):
        self._url = url.rstrip("/")
        self._session = requests.Session()
        self._session.headers["Authorization"] = f"Bearer {token}"
        self._timeout = timeout

    def head_object(self, *, Bucket: str, Key: str) -> dict | None:
        """The object's metadata, or None where there is no such object."""
        response = self._request("HEAD", Bucket, Key)
        if response.status_code == 404:
            return None
        self._check(response)
        return {
            "ETag": response.headers.get("ETag", ""),
            "Metadata": {"sha256": response.headers.get("x-object-meta-sha256", "")},
        }

    def put_object(self, *, Bucket: str, Key: str, Body: bytes, ContentType: str, Metadata: dict) -> dict:
        headers = {"Content-Type": ContentType}
        headers.update({f"x-object-meta-{name}": value for name, value in Metadata.items()})
        response = self._request("PUT", Bucket, Key, data=Body, headers=headers)
        self._check(response)
        return {"ETag": response.headers.get("ETag", "")}

    def _request(self, method: str, bucket: str, key: str, **kwargs) -> requests.Response:
        try:
            return self._session.request(
                method, f"{self._url}/{bucket}/{key}", timeout=self._timeout, **kwargs)
        except (requests.ConnectionError, requests.Timeout) as exc:
            raise StoreUnavailable(f"{method} {key}: {exc}") from exc

    @staticmethod
    def _check(response: requests.Response) -> None:
        status = response.status_code
        if status in (401, 403):
            raise AccessDenied(f"{status} for {response.url}")
        if status in (408, 429) or status >= 500:
            raise StoreUnavailable(f"{status} for {response.url}")
        if status >= 400:
            raise InvalidObject(f"{status} for {response.url}: {response.text[:200]}")


def client() -> ObjectStore:
    config = settings.load()
    return ObjectStore(config.store_url, config.store_token)
