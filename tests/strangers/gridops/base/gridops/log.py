import logging
import sys

from loguru import logger

from .config import config


class Intercept(logging.Handler):
    """What libraries log goes through loguru, too."""

    def emit(self, record):
        try:
            level = logger.level(record.levelname).name
        except ValueError:
            level = record.levelno
        logger.opt(depth=6, exception=record.exc_info).log(level, record.getMessage())


def setup():
    logger.configure(handlers=[{"sink": sys.stderr, "level": config.log.level, "serialize": True}])
    logging.basicConfig(handlers=[Intercept()], level=logging.WARNING, force=True)
