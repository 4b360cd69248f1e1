import sys

from loguru import logger

FORMAT = "{time:YYYY-MM-DDTHH:mm:ssZ} {level} {message} {extra}"


def setup():
    logger.remove()
    logger.add(sys.stderr, format=FORMAT, level="INFO", backtrace=False, diagnose=False)
