import logging
import logging.config

CONFIG = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {"format": "%(asctime)s %(levelname)-7s %(name)s %(message)s"},
    },
    "handlers": {
        "stderr": {"class": "logging.StreamHandler", "formatter": "line"},
    },
    "root": {"level": "INFO", "handlers": ["stderr"]},
}


def setup():
    logging.config.dictConfig(CONFIG)


class JobLog(logging.LoggerAdapter):
    """Puts in front of each line which job it is about."""

    def process(self, msg, kwargs):
        return f"[{self.extra['job']} {self.extra['what']}] {msg}", kwargs


def of_job(logger, job, what):
    return JobLog(logger, {"job": job, "what": what})
