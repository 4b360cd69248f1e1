import json
import logging
import time
from logging.handlers import WatchedFileHandler

FIELDS = ("run", "key", "outcome", "attempt", "reason", "count")


class JsonFormatter(logging.Formatter):
    """One object a line. Of an exception only its class: its text may quote a mail."""

    converter = time.gmtime

    def format(self, record):
        line = {
            "at": self.formatTime(record, "%Y-%m-%dT%H:%M:%SZ"),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
        }
        line.update({name: getattr(record, name) for name in FIELDS if hasattr(record, name)})
        if record.exc_info and record.exc_info[0]:
            line["error"] = record.exc_info[0].__name__
        return json.dumps(line, ensure_ascii=False)


def to_file(path):
    handler = WatchedFileHandler(path, encoding="utf-8")
    handler.setFormatter(JsonFormatter())
    logger = logging.getLogger("tierheim")
    logger.handlers[:] = [handler]
    logger.setLevel(logging.INFO)
    logger.propagate = False
