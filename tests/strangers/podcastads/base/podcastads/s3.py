"""The few calls of S3 that we need, named as boto3 names them. The gateway in front of the store signs for us."""
import httpx

from podcastads import config


class S3Error(Exception):
    pass


class S3Unavailable(S3Error):
    """No answer, or SlowDown and its kind: later."""


class S3Denied(S3Error):
    """Not with this token, not into this bucket."""


class S3:
    def __init__(self, endpoint, token, transport=None):
        self._http = httpx.Client(base_url=endpoint, headers={"Authorization": f"Bearer {token}"}, timeout=15,
                                  transport=transport)

    def put_object(self, *, Bucket, Key, Body, ContentType):
        try:
            response = self._http.put(f"/{Bucket}/{Key}", content=Body, headers={"Content-Type": ContentType})
        except httpx.TransportError as exc:
            raise S3Unavailable(f"{type(exc).__name__} for {Key}") from exc
        if response.status_code in (408, 409, 429) or response.status_code >= 500:
            raise S3Unavailable(f"{response.status_code} for {Key}")
        if response.status_code >= 300:
            raise S3Denied(f"{response.status_code} for {Key}")
        return {"ETag": response.headers.get("ETag", "")}


def client():
    return S3(config.s3_endpoint(), config.s3_token())
