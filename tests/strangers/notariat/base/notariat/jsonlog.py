import json
import logging

FIELDS = ("job", "job_id", "key", "attempt", "outcome", "reason", "receipt", "wait")


class JsonLines(logging.Formatter):
    """One JSON object a line: the message, and what was handed over as `extra`."""

    def format(self, record):
        line = {
            "at": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line.update((name, getattr(record, name)) for name in FIELDS if hasattr(record, name))
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)
