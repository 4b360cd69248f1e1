"""The house's client of the object store."""
import os
from functools import cached_property

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError


class StoreDown(Exception):
    pass


class StoreRefused(Exception):
    pass


class LabelStore:
    bucket = os.environ.get("FRACHTWEG_BUCKET", "labels")

    @cached_property
    def _s3(self):
        return boto3.client(
            "s3",
            endpoint_url=os.environ.get("FRACHTWEG_S3", "https://store.invalid"),
            region_name="eu-central-1",
            config=Config(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=20),
        )

    def put(self, key: str, body: bytes) -> None:
        try:
            self._s3.put_object(Bucket=self.bucket, Key=key, Body=body, ContentType="application/pdf")
        except ClientError as exc:
            status = exc.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 500)
            kind = StoreDown if status == 429 or status >= 500 else StoreRefused
            raise kind(exc.response.get("Error", {}).get("Code", "?")) from None
        except BotoCoreError as exc:
            raise StoreDown(type(exc).__name__) from None


store = LabelStore()
