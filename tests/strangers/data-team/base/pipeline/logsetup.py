import sys

from loguru import logger

FORMAT = "{time:YYYY-MM-DD HH:mm:ss} | {level: <8} | {name} | {message} | {extra}"


def setup():
    logger.remove()
    logger.add(sys.stderr, format=FORMAT, level="INFO", backtrace=False, diagnose=False)
