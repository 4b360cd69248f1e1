"""loguru for everything; what Django and Dramatiq say through logging comes along."""

import logging
import os
import sys

from loguru import logger

FORMAT = "{time:YYYY-MM-DD HH:mm:ss.SSS} {level: <8} {message} | {extra}"


class InterceptHandler(logging.Handler):
    def emit(self, record):
        try:
            level = logger.level(record.levelname).name
        except ValueError:
            level = record.levelno
        logger.opt(exception=record.exc_info).bind(logger=record.name).log(level, record.getMessage())


def configure_logging():
    logger.remove()
    logger.add(sys.stderr, level=os.environ.get("FERRY_LOG_LEVEL", "INFO"), format=FORMAT)
    logging.basicConfig(handlers=[InterceptHandler()], level=logging.INFO, force=True)
