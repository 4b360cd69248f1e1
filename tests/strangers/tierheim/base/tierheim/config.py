import os
from dataclasses import dataclass, field
from datetime import timedelta

MAX_ATTEMPTS = 5
# 9, 36, 144, 576 minutes. Nine, so that the run ten minutes later finds the row due.
FIRST_WAIT = timedelta(minutes=9)
WAIT_FACTOR = 4
BATCH = 200
SERVER_FAILURES_IN_A_ROW = 3


@dataclass(frozen=True)
class Config:
    database: str
    lock_file: str
    log_file: str
    smtp_host: str
    smtp_port: int
    smtp_user: str
    smtp_password: str = field(repr=False)
    sender: str

    @classmethod
    def from_env(cls, env=os.environ):
        return cls(
            database=env.get("TIERHEIM_DB", "/var/lib/tierheim/tierheim.db"),
            lock_file=env.get("TIERHEIM_LOCK", "/var/lib/tierheim/notify.lock"),
            log_file=env.get("TIERHEIM_LOG", "/var/log/tierheim/notify.log"),
            smtp_host=env.get("TIERHEIM_SMTP_HOST", "localhost"),
            smtp_port=int(env.get("TIERHEIM_SMTP_PORT", "25")),
            smtp_user=env.get("TIERHEIM_SMTP_USER", ""),
            smtp_password=env.get("TIERHEIM_SMTP_PASSWORD", ""),
            sender=env.get("TIERHEIM_SENDER", "vermittlung@tierheim-lindenau.example"),
        )
