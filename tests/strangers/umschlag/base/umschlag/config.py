import os
from dataclasses import dataclass, field


def _env(name, default):
    return field(default_factory=lambda: os.environ.get(f"UMSCHLAG_{name}", default))


@dataclass(frozen=True)
class Config:
    dsn: str = _env("DSN", "postgresql:///umschlag")
    broker: str = _env("BROKER", "redis://localhost:6379/0")
    s3_endpoint: str = _env("S3_ENDPOINT", "http://localhost:9000")
    bucket: str = _env("BUCKET", "manifests")
    portal: str = _env("PORTAL", "http://localhost:8099")
    portal_key: str = _env("PORTAL_KEY", "")

    # Six tries: 30 s, 1, 2, 4 and 8 minutes apart.
    max_retries: int = 5
    first_wait: int = 30
    longest_wait: int = 480
    # However a try ends, also with the worker: more starts than this there are not.
    max_starts: int = 10


config = Config()
