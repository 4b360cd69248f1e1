"""The bucket with the labels' PDFs. The packing desk prints from there."""
import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from django.conf import settings


class ArchiveDown(Exception):
    pass


class LabelArchive:
    def __init__(self, endpoint=None):
        self._endpoint = endpoint or settings.S3_ENDPOINT

    def put_object(self, *, Bucket, Key, Body, ContentType):
        try:
            client = boto3.client(
                "s3",
                endpoint_url=self._endpoint,
                config=Config(connect_timeout=5, read_timeout=20, retries={"total_max_attempts": 1}),
            )
            return client.put_object(Bucket=Bucket, Key=Key, Body=Body, ContentType=ContentType)
        except (BotoCoreError, ClientError) as exc:
            raise ArchiveDown(type(exc).__name__) from exc
