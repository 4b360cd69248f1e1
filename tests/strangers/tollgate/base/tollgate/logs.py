"""Log lines are a sentence followed by the fields given as extra=."""
import logging
import logging.config

from tollgate.settings import settings

_PLAIN = set(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class FieldFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        fields = {k: v for k, v in vars(record).items() if k not in _PLAIN}
        line = super().format(record)
        if not fields:
            return line
        head, _, trace = line.partition("\n")
        head += " | " + " ".join(f"{k}={v}" for k, v in fields.items())
        return f"{head}\n{trace}" if trace else head


def configure() -> None:
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {
                "fields": {
                    "()": FieldFormatter,
                    "format": "%(asctime)s %(levelname)s %(name)s: %(message)s",
                }
            },
            "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "fields"}},
            "root": {"level": settings().log_level, "handlers": ["stderr"]},
            "loggers": {"httpx": {"level": "WARNING"}},
        }
    )
