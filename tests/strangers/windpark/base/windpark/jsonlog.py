"""One line of JSON per event."""
import json
import logging
import sys
import time


class Lines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "ts": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created)),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["exception"] = record.exc_info[0].__name__
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


class Journal:
    """journal.info("sent", key=..., attempt=...); bind() keeps fields for all that follows."""

    def __init__(self, logger: logging.Logger, **fields):
        self._logger, self._fields = logger, fields

    def bind(self, **fields) -> "Journal":
        return Journal(self._logger, **{**self._fields, **fields})

    def info(self, event: str, **fields) -> None:
        self._log(logging.INFO, event, fields)

    def warning(self, event: str, **fields) -> None:
        self._log(logging.WARNING, event, fields)

    def error(self, event: str, exc_info=None, **fields) -> None:
        self._log(logging.ERROR, event, fields, exc_info)

    def _log(self, level, event, fields, exc_info=None) -> None:
        self._logger.log(level, event, extra={"fields": {**self._fields, **fields}}, exc_info=exc_info)


def configure(level: str = "INFO") -> None:
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(Lines())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.getLogger("apscheduler").setLevel("WARNING")
    logging.getLogger("httpx").setLevel("WARNING")
