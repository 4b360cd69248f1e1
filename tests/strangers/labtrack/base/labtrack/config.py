import os
from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    dsn: str
    queue_dsn: str
    gateway_url: str
    gateway_token: str
    archive_bucket: str
    archive_endpoint: str | None

    @classmethod
    def from_env(cls, env=os.environ):
        dsn = env.get("LABTRACK_DSN", "postgresql:///labtrack")
        return cls(
            dsn=dsn,
            queue_dsn=env.get("LABTRACK_QUEUE_DSN", dsn),
            gateway_url=env.get("LABTRACK_GATEWAY_URL", "http://localhost:8090"),
            gateway_token=env.get("LABTRACK_GATEWAY_TOKEN", ""),
            archive_bucket=env.get("LABTRACK_ARCHIVE_BUCKET", "lab-reports"),
            archive_endpoint=env.get("LABTRACK_ARCHIVE_ENDPOINT") or None,
        )


settings = Settings.from_env()
