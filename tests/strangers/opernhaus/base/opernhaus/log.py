import sys

from loguru import logger


def configure():
    """No diagnosis: it would print the values of variables, an IBAN among them."""
    logger.remove()
    logger.add(sys.stderr, format="{time:YYYY-MM-DD HH:mm:ss} {level} {message}", level="INFO",
               backtrace=False, diagnose=False)
