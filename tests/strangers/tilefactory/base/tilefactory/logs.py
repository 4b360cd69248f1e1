"""Logging: one line a record, and each line says which batch it is about."""
import logging
import logging.config

from tilefactory import settings


def configure() -> None:
    logging.config.dictConfig({
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
        "root": {"level": settings.load().log_level, "handlers": ["stderr"]},
    })


class BatchLog(logging.LoggerAdapter):
    def process(self, msg, kwargs):
        return f"[build-batch batch={self.extra['batch_id']}] {msg}", kwargs


def for_batch(logger: logging.Logger, batch_id) -> BatchLog:
    return BatchLog(logger, {"batch_id": batch_id})
