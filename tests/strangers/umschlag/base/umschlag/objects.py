"""The object store. Errors are botocore's own."""
import boto3
from botocore.config import Config as BotoConfig

from .config import config


class ObjectStore:
    def __init__(self, client=None):
        self._client = client

    @property
    def client(self):
        if self._client is None:
            self._client = boto3.client(
                "s3",
                endpoint_url=config.s3_endpoint,
                region_name="eu-central-1",
                config=BotoConfig(connect_timeout=5, read_timeout=30, retries={"total_max_attempts": 1}),
            )
        return self._client

    def put(self, key, body):
        self.client.put_object(
            Bucket=config.bucket, Key=key, Body=body.encode(), ContentType="text/csv; charset=utf-8"
        )
