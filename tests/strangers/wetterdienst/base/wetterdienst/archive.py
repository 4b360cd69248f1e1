"""The object store."""
import os
from functools import lru_cache

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

PASSING = {"InternalError", "ServiceUnavailable", "SlowDown", "RequestTimeout", "Throttling", "OperationAborted"}


class ArchiveUnavailable(Exception):
    pass


class ArchiveRefused(Exception):
    pass


@lru_cache
def client():
    return boto3.client(
        "s3",
        endpoint_url=os.environ.get("WETTER_S3_URL"),
        region_name=os.environ.get("AWS_REGION", "eu-central-1"),
        config=Config(connect_timeout=5, read_timeout=20, retries={"total_max_attempts": 1}),
    )


def put(key, body):
    """Write one object; a second time writes it over with itself."""
    try:
        answer = client().put_object(
            Bucket=os.environ.get("WETTER_BUCKET", "wetter-daily"), Key=key, Body=body, ContentType="text/csv"
        )
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "?")
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if status >= 500 or status == 429 or code in PASSING:
            raise ArchiveUnavailable(code) from error
        raise ArchiveRefused(code) from error
    except BotoCoreError as error:
        raise ArchiveUnavailable(type(error).__name__) from error
    return answer["ETag"]
