import sys

from loguru import logger

from tutorly import conf

LINE = "{time:YYYY-MM-DDTHH:mm:ss.SSSZ} {level: <7} {message} {extra}"


def setup() -> None:
    logger.remove()
    logger.add(sys.stderr, level=conf.LOG_LEVEL, format=LINE, backtrace=False, diagnose=False)
