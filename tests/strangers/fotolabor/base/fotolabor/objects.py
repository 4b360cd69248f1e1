import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from . import config

HOPELESS = {"AccessDenied", "NoSuchBucket", "InvalidBucketName", "EntityTooLarge"}


class ObjectStore:
    """The bucket. An object is overwritten by the next one under its key."""

    def __init__(self):
        self._client = boto3.client(
            "s3", endpoint_url=config.S3_URL, region_name="eu-central-1",
            aws_access_key_id=config.S3_KEY, aws_secret_access_key=config.S3_SECRET,
            config=Config(connect_timeout=5, read_timeout=60, retries={"max_attempts": 1}))

    def put_object(self, Key, Body, ContentType="application/zip"):
        return self._client.put_object(Bucket=config.BUCKET, Key=Key, Body=Body, ContentType=ContentType)


def hopeless(error):
    return isinstance(error, ClientError) and error.response.get("Error", {}).get("Code") in HOPELESS
