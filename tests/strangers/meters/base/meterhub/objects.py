import functools

import boto3
from botocore.config import Config

from meterhub import settings


@functools.cache
def client():
    return boto3.client(
        "s3",
        endpoint_url=settings.objects_url(),
        config=Config(retries={"max_attempts": 1}, connect_timeout=5, read_timeout=30),
    )


def put_object(Key, Body):
    """Store an object; the same key again replaces it."""
    return client().put_object(Bucket=settings.bucket(), Key=Key, Body=Body, ContentType="text/csv")["ETag"]
