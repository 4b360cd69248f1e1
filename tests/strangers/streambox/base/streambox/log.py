import logging
import sys

from loguru import logger


class ToLoguru(logging.Handler):
    def emit(self, record):
        logger.bind(logger=record.name).opt(exception=record.exc_info, depth=6).log(
            record.levelname, record.getMessage())


def setup_logging():
    logger.remove()
    logger.add(sys.stderr, format="{time:YYYY-MM-DD HH:mm:ss.SSS} {level:7} {message} {extra}", level="INFO",
               backtrace=False, diagnose=False)
    logging.basicConfig(handlers=[ToLoguru()], level=logging.WARNING, force=True)
