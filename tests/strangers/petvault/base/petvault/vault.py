"""The object store."""
from functools import lru_cache

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from petvault import settings


class VaultUnavailable(Exception):
    """May pass."""


class VaultRefused(Exception):
    """No such bucket, or we may not write there."""


class Vault:
    def __init__(self, client, bucket: str):
        self._client, self._bucket = client, bucket

    def put(self, key: str, body: bytes, content_type: str) -> None:
        try:
            self._client.put_object(
                Bucket=self._bucket, Key=key, Body=body, ContentType=content_type
            )
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "")
            if code in ("AccessDenied", "NoSuchBucket", "InvalidBucketName", "EntityTooLarge"):
                raise VaultRefused(f"{code}: {key}") from error
            raise VaultUnavailable(str(error)) from error
        except BotoCoreError as error:
            raise VaultUnavailable(str(error)) from error


@lru_cache
def vault() -> Vault:
    client = boto3.client(
        "s3",
        endpoint_url=settings.S3_ENDPOINT,
        region_name="eu-central-2",
        config=Config(connect_timeout=5, read_timeout=20, retries={"total_max_attempts": 1}),
    )
    return Vault(client, settings.BUCKET)
