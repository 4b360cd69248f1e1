import logging

FIELDS = ("job", "job_id", "key", "attempt", "outcome", "reason", "wait", "insurer_ref")


class FieldFormatter(logging.Formatter):
    """The fields of extra= behind the text, as key=value."""

    def format(self, record):
        line = super().format(record)
        fields = [f"{name}={getattr(record, name)!s}" for name in FIELDS if hasattr(record, name)]
        return " ".join([line, *fields])


LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"fields": {"()": FieldFormatter, "format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "handlers": {"out": {"class": "logging.StreamHandler", "formatter": "fields"}},
    "loggers": {"celery.app.trace": {"level": "WARNING"}, "celery.worker.strategy": {"level": "WARNING"}},
    "root": {"level": "INFO", "handlers": ["out"]},
}
