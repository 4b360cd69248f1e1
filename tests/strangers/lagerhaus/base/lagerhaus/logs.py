"""One line an event; the bound fields come after the text."""

import sys

from loguru import logger

from lagerhaus.settings import get_settings

FORMAT = (
    "{time:YYYY-MM-DDTHH:mm:ss.SSSZ} {level: <7} {message} "
    "| job={extra[job]} job_id={extra[job_id]} key={extra[key]} attempt={extra[attempt]}"
)


def setup() -> None:
    logger.remove()
    logger.configure(extra={"job": "-", "job_id": "-", "key": "-", "attempt": "-"})
    # diagnose would print the recipient's address with every traceback
    logger.add(sys.stderr, format=FORMAT, level=get_settings().log_level, diagnose=False, backtrace=False)


setup()
