import sys

from loguru import logger

from .settings import settings

# {extra} is what logger.contextualize says about the job at hand
FORMAT = "{time:YYYY-MM-DDTHH:mm:ss.SSS} | {level:<7} | {name} | {message} | {extra}"


def setup():
    logger.remove()
    logger.add(sys.stderr, format=FORMAT, level=settings.log_level, diagnose=False)
