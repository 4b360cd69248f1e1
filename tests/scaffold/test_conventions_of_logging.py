"""Which logger a repository has, and what counts for it."""

from __future__ import annotations

import pytest
from reading_conventions import TASKS, Read

# -- loggers


@pytest.mark.parametrize(
    ("text", "name", "imported", "value", "style"),
    [
        (
            "import logging\nlog = logging.getLogger(__name__)\n",
            "log",
            "import logging",
            "logging.getLogger(__name__)",
            "percent",
        ),
        (
            "from logging import getLogger\nLOG = getLogger(__name__)\n",
            "LOG",
            "from logging import getLogger",
            "getLogger(__name__)",
            "percent",
        ),
        (
            "import structlog\nlogger = structlog.get_logger()\n",
            "logger",
            "import structlog",
            "structlog.get_logger()",
            "structlog",
        ),
        (
            "from celery.utils.log import get_task_logger\nlogger = get_task_logger(__name__)\n",
            "logger",
            "from celery.utils.log import get_task_logger",
            "get_task_logger(__name__)",
            "percent",
        ),
        (
            "from loguru import logger\nlogger.info('x')\n",
            "logger",
            "from loguru import logger",
            "",
            "structlog",
        ),
        (
            "from .log import get_logger\nlog = get_logger(__name__)\nlog.info('x', a=1)\n",
            "log",
            "from shop.log import get_logger",
            "get_logger(__name__)",
            "structlog",
        ),
        (
            "from shop.log import log\nlog.info('x %s', 1)\n",
            "log",
            "from shop.log import log",
            "",
            "percent",
        ),
        (
            "import logging\nlogger = logging.getLogger('shop.mail')\n",
            "logger",
            "import logging",
            "logging.getLogger(__name__)",
            "percent",
        ),
        (
            "import logging\nlogging.info('x')\n",
            "logger",
            "import logging",
            "logging.getLogger(__name__)",
            "percent",
        ),
    ],
)
def test_loggers(
    conventions_of: Read, text: str, name: str, imported: str, value: str, style: str
) -> None:
    found = conventions_of({"shop/mail.py": text})
    assert (found.logger, found.logger_import, found.logger_value, found.log_style) == (
        name,
        imported,
        value,
        style,
    )


def test_a_logger_that_several_files_share_keeps_its_name(conventions_of: Read) -> None:
    text = "import logging\nlogger = logging.getLogger('shop')\n"
    assert (
        conventions_of({"shop/mail.py": text, "shop/orders.py": text}).logger_value
        == 'logging.getLogger("shop")'
    )


def test_the_logger_of_the_tasks_counts_most(conventions_of: Read) -> None:
    usual = "import logging\nlogger = logging.getLogger(__name__)\n"
    tasks = "from celery.utils.log import get_task_logger\nlog = get_task_logger(__name__)\n"
    assert conventions_of({"shop/a.py": usual, "shop/b.py": usual, TASKS: tasks}).logger == "log"


def test_of_two_loggers_the_one_that_is_named_so(conventions_of: Read) -> None:
    text = (
        "import logging\naudit_log = logging.getLogger('audit')\nlogger ="
        " logging.getLogger(__name__)\n"
    )
    assert conventions_of({TASKS: f"{text}audit_log.info('x')\n"}).logger == "logger"


def test_a_logger_that_the_repository_makes(conventions_of: Read) -> None:
    found = conventions_of(
        {TASKS: "from shop.worker import get_job_logger\nlogger = get_job_logger(__name__)\n"}
    )
    assert (found.logger_import, found.logger_value) == (
        "from shop.worker import get_job_logger",
        "get_job_logger(__name__)",
    )


def test_a_logging_module_of_the_repository_that_wraps_structlog(conventions_of: Read) -> None:
    files = {
        "shop/log.py": "import structlog\n",
        "shop/mail.py": "from shop.log import get_logger\nlog = get_logger()\n",
    }
    assert conventions_of(files).log_style == "structlog"
