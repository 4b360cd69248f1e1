"""Reports and their dispatch, without any database."""
import json
import re
from dataclasses import dataclass, field
from datetime import datetime

MAX_ATTEMPTS = 5

REPORT_NO = re.compile(r"R-\d{4}-\d{4}")


class MalformedMessage(Exception):
    """The message names no revision of a report."""


class NotDispatchable(Exception):
    """There is no such report, or it is not (any longer) authorised."""


class ConcurrentUpdate(Exception):
    """Somebody else changed the row since it was read."""


class OutOfAttempts(Exception):
    """The dispatch was begun as often as it may be, and never came to an end."""


class DispatchFailed(Exception):
    """The dispatch has been given up; its dead letter says why."""


@dataclass(frozen=True)
class DispatchKey:
    report_no: str
    revision: int

    @classmethod
    def from_message(cls, message):
        if set(message) != {"report_no", "revision"}:
            raise MalformedMessage(f"fields {sorted(message)}")
        report_no, revision = message["report_no"], message["revision"]
        if not isinstance(report_no, str) or not REPORT_NO.fullmatch(report_no):
            raise MalformedMessage("report_no is not R-yyyy-nnnn")
        if type(revision) is not int or revision < 1:
            raise MalformedMessage("revision is not a positive integer")
        return cls(report_no, revision)

    def as_message(self):
        return {"report_no": self.report_no, "revision": self.revision}

    def __str__(self):
        return f"{self.report_no}-{self.revision}"


@dataclass
class Report:
    report_no: str
    revision: int
    clinic: str
    status: str
    findings: dict
    version: int

    def document(self):
        """The same bytes however often it is rendered: a revision never changes."""
        return json.dumps(
            {"report": self.report_no, "revision": self.revision, "findings": self.findings},
            sort_keys=True, separators=(",", ":")).encode()


@dataclass
class Dispatch:
    key: DispatchKey
    created_at: datetime
    updated_at: datetime
    status: str = "pending"  # pending, sending, sent, failed, cancelled
    attempts: int = 0
    document_key: str = ""
    receipt: str = ""
    version: int = field(default=1)

    @property
    def open(self):
        return self.status in ("pending", "sending")

    @property
    def exhausted(self):
        return self.attempts >= MAX_ATTEMPTS

    def begin(self, now):
        self.status, self.attempts, self.updated_at = "sending", self.attempts + 1, now

    def succeed(self, document_key, receipt, now):
        self.status, self.document_key, self.receipt, self.updated_at = "sent", document_key, receipt, now
