"""What every log line knows about the message at hand."""

import logging
import sys
from contextvars import ContextVar

job_id: ContextVar[str] = ContextVar("job_id", default="-")
attempt: ContextVar[int] = ContextVar("attempt", default=0)

_plain = logging.getLogRecordFactory()


def _record(*args, **kwargs):
    record = _plain(*args, **kwargs)
    record.job_id = job_id.get()
    record.attempt = attempt.get()
    return record


def configure() -> None:
    if logging.getLogRecordFactory() is not _record:
        logging.setLogRecordFactory(_record)
    root = logging.getLogger("zahnlabor")
    if not root.handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(
            logging.Formatter("%(asctime)s %(levelname)s %(name)s job_id=%(job_id)s attempt=%(attempt)s %(message)s")
        )
        root.addHandler(handler)
        root.setLevel(logging.INFO)
