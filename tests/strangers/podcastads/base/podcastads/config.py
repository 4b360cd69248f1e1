"""Everything comes from the environment, and is read when it is needed."""
import os


def database():
    return os.environ.get("PODCASTADS_DB", "podcastads.db")


def redis_url():
    return os.environ.get("PODCASTADS_REDIS", "redis://localhost:6379/0")


def s3_endpoint():
    return os.environ.get("PODCASTADS_S3", "http://localhost:9000")


def s3_token():
    return os.environ.get("PODCASTADS_S3_TOKEN", "")


def bucket():
    return os.environ.get("PODCASTADS_BUCKET", "stitched")


def billing_url():
    return os.environ.get("PODCASTADS_BILLING", "https://billing.adexchange.example/v1")


def billing_token():
    return os.environ.get("PODCASTADS_BILLING_TOKEN", "")
