"""The document archive, an S3 bucket. Writing a document under its key again changes nothing."""
import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from labtrack.config import settings


class ArchiveUnavailable(Exception):
    """The archive did not take the document just now."""


class ArchiveRefused(Exception):
    """The archive will not take the document."""


class DocumentArchive:
    def __init__(self, client=None):
        self._client = client

    @property
    def client(self):
        if self._client is None:
            self._client = boto3.client(
                "s3", endpoint_url=settings.archive_endpoint,
                config=Config(connect_timeout=5, read_timeout=20, retries={"max_attempts": 1}))
        return self._client

    def put(self, key, document):
        try:
            self.client.put_object(Bucket=settings.archive_bucket, Key=key, Body=document,
                                   ContentType="application/json")
        except ClientError as error:
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 500)
            if status >= 500 or status == 429:
                raise ArchiveUnavailable(str(error)) from error
            raise ArchiveRefused(str(error)) from error
        except BotoCoreError as error:
            raise ArchiveUnavailable(str(error)) from error
