import logging
import logging.config

FIELDS = ("job", "job_id", "key", "outcome", "attempt", "mrn", "error")


class FieldFormatter(logging.Formatter):
    """The message, then those of our fields that the record has."""

    def format(self, record):
        line = super().format(record)
        pairs = [f"{name}={getattr(record, name)}" for name in FIELDS if getattr(record, name, None) is not None]
        head, newline, trace = line.partition("\n")
        return " ".join([head, *pairs]) + newline + trace


def configure():
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {
                "fields": {"()": FieldFormatter, "format": "%(asctime)s %(levelname)s %(name)s %(message)s"}
            },
            "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "fields"}},
            "root": {"handlers": ["stderr"], "level": "INFO"},
            "loggers": {"httpx": {"level": "WARNING"}},
        }
    )
