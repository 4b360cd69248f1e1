"""Our object store, with the calls of boto3's client that we need (the gateway in front of it
speaks plain HTTP with a token, so that boto3 itself would be of no use)."""

import httpx

from .config import config

# codes by which the store, or the way to it, may be better in a minute
PASSING = {"SlowDown", "InternalError", "ServiceUnavailable", "RequestTimeout", "Unreachable"}


class ClientError(Exception):
    def __init__(self, error_response: dict, operation_name: str):
        super().__init__(f"{operation_name}: {error_response['Error']}")
        self.response = error_response
        self.operation_name = operation_name

    @property
    def passing(self) -> bool:
        return self.response["Error"]["Code"] in PASSING


class ObjectStore:
    def __init__(self, url: str, token: str):
        self.http = httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=15)

    def put_object(self, *, Bucket: str, Key: str, Body: bytes, ContentType: str = "application/octet-stream") -> dict:
        try:
            answer = self.http.put(f"/{Bucket}/{Key}", content=Body, headers={"Content-Type": ContentType})
        except httpx.TransportError as error:
            raise ClientError({"Error": {"Code": "Unreachable", "Message": repr(error)}}, "PutObject") from error
        if answer.is_error:
            code = answer.headers.get("X-Error-Code") or ("InternalError" if answer.is_server_error else "Refused")
            raise ClientError({"Error": {"Code": code, "Message": answer.text[:200]}}, "PutObject")
        return {"ETag": answer.headers.get("ETag")}


store = ObjectStore(config.store.url, config.store.token)
