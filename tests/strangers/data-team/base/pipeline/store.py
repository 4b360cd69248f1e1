"""The object store. `s3` has the call of boto3's client that we use, and connects when it is first used."""
import threading

import boto3
from botocore.config import Config

from . import config

# What S3 and MinIO answer when it is worth coming back.
TEMPORARY_CODES = {"SlowDown", "ServiceUnavailable", "InternalError", "RequestTimeout", "503", "500"}


class S3:
    def __init__(self):
        self._client = None
        self._lock = threading.Lock()

    def put_object(self, **kwargs):
        with self._lock:
            if self._client is None:
                quick = Config(connect_timeout=5, read_timeout=30, retries={"max_attempts": 1})
                self._client = boto3.client("s3", endpoint_url=config.S3_ENDPOINT, config=quick)
        return self._client.put_object(**kwargs)


s3 = S3()


def is_temporary(error):
    return error.response.get("Error", {}).get("Code") in TEMPORARY_CODES
