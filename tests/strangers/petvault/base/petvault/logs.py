"""One JSON object per line; whatever is given as extra= is a field of it."""
import logging.config

from celery.signals import setup_logging

from petvault import settings


@setup_logging.connect
def configure(**_) -> None:
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {
                "json": {
                    "()": "pythonjsonlogger.json.JsonFormatter",
                    "format": "%(asctime)s %(levelname)s %(name)s %(message)s",
                    "rename_fields": {"asctime": "at", "levelname": "level"},
                }
            },
            "handlers": {"out": {"class": "logging.StreamHandler", "formatter": "json"}},
            "root": {"level": settings.LOG_LEVEL, "handlers": ["out"]},
        }
    )
