"""The object store, S3 or what speaks like it."""

import asyncio
from functools import lru_cache
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from statements.settings import settings

# What it answers where asking again is no use. Everything else (SlowDown, 500, clocks, expired tokens) may pass.
FINAL = {"NoSuchBucket", "InvalidBucketName", "EntityTooLarge", "KeyTooLongError", "AccountProblem"}


@lru_cache
def client() -> Any:
    # One try: how often, the job decides.
    config = Config(connect_timeout=5, read_timeout=30, retries={"total_max_attempts": 1})
    return boto3.client("s3", endpoint_url=settings.s3_endpoint, region_name="eu-central-1", config=config)


async def put_report(key: str, body: bytes) -> None:
    """Writes the object, over one that is there."""
    await asyncio.to_thread(
        client().put_object, Bucket=settings.bucket, Key=key, Body=body, ContentType="text/csv; charset=utf-8"
    )


def is_final(error: Exception) -> bool:
    return isinstance(error, ClientError) and error.response.get("Error", {}).get("Code") in FINAL
