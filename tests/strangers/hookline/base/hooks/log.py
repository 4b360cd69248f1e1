import sys

from loguru import logger

logger.remove()
logger.add(sys.stderr, format="{time:YYYY-MM-DDTHH:mm:ss.SSSZZ} {level} {message} {extra}", backtrace=False, diagnose=False)

__all__ = ["logger"]
