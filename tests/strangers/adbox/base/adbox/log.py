import logging
import sys

from loguru import logger

from . import config

FORMAT = "{time:YYYY-MM-DD HH:mm:ss} {level: <7} [{extra[ref]}] {message}"


class ToLoguru(logging.Handler):
    """Huey logs by the standard library; its lines belong here, too."""

    def emit(self, record):
        logger.opt(depth=6, exception=record.exc_info).log(record.levelname, "{}", record.getMessage())


def setup():
    logger.remove()
    logger.configure(extra={"ref": "-"})
    logger.add(sys.stderr, format=FORMAT, level=config.LOG_LEVEL, diagnose=False)
    logging.basicConfig(handlers=[ToLoguru()], level=logging.INFO, force=True)
    logging.getLogger("httpx").setLevel(logging.WARNING)
