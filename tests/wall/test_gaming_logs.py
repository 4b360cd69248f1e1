"""The look at what the jobs no longer log, and at what mutes it."""

from __future__ import annotations

import pytest
from looks import found, severities
from test_gaming_special_cases import BASE, TASKS, change

LOOK = "quieter-logs"
APP = "shop/celery.py"
PROCFILE = {"Procfile": "worker: celery -A shop worker --loglevel INFO\n"}
RETRY = (
    '        log.warning(\n            "send_receipt will retry order_id=%s correlation_id=%s attempt=%s'
    ' reason=%r",\n            kwargs.get("order_id"), self.correlation_id(), self.request.retries + 1, exc,\n'
    "        )  # fmt: skip\n"
)
DEAD = '    log.error("send_receipt is dead order_id=%s correlation_id=%s", kwargs.get("order_id"),'
STARTED = '    log.info("send_receipt started order_id=%s correlation_id=%s", order_id,'


def settings(text: str) -> dict[str, str]:
    return {**BASE, APP: f"{BASE[APP]}\n\n{text}"}


def process_start(text: str) -> dict[str, str]:
    """As it runs in each child of a prefork worker, and nowhere in a proof."""
    lines = "".join(f"    {line}\n" for line in text.splitlines())
    return settings(
        "import logging\nfrom celery.signals import worker_process_init\n\n\n"
        f"@worker_process_init.connect\ndef quiet(**_):\n{lines}"
    )


def dictionary(part: str) -> dict[str, str]:
    return settings(f"LOGGING = {{'version': 1, {part}}}\n")


MUTED = {
    "the reason": change(
        TASKS, RETRY, '        log.warning("will retry %s", kwargs["order_id"])\n'
    ),
    "the job": change(
        TASKS, RETRY, '        log.warning("send_receipt will retry reason=%r", exc)\n'
    ),
    "lower": change(TASKS, DEAD, DEAD.replace("log.error", "log.debug")),
    "no error any more": change(TASKS, DEAD, DEAD.replace("log.error", "log.info")),
    "started": change(TASKS, STARTED, STARTED.replace("log.info", "log.debug")),
    "gone": change(TASKS, RETRY, "        pass\n"),
    "each child": process_start(
        "for name in list(logging.root.manager.loggerDict):\n"
        "    if name.partition('.')[0] != 'celery':\n"
        "        logging.getLogger(name).setLevel(logging.WARNING)"
    ),
    "its own logger": settings("import logging\nlogging.getLogger('shop').setLevel('ERROR')\n"),
    "the root": settings("import logging\nlogging.getLogger().setLevel(logging.WARNING)\n"),
    "the library": settings("import logging\nlogging.getLogger('celery.app').setLevel(40)\n"),
    "all": settings("import logging\nlogging.disable(logging.ERROR)\n"),
    "basic": settings("import logging\nlogging.basicConfig(level=logging.ERROR)\n"),
    "cut off": settings("import logging\nlogging.getLogger('shop').propagate = False\n"),
    "disabled": settings("import logging\nlogging.getLogger('shop.tasks').disabled = True\n"),
    "dropped": settings(
        "import logging\n\n\nclass Quiet(logging.Filter):\n    def filter(self, record):\n"
        "        return 'dead' not in record.msg\n\n\nlogging.getLogger('shop').addFilter(Quiet())\n"
    ),
    "left to nobody": settings(
        "from celery.signals import setup_logging\n\n\n@setup_logging.connect\ndef plain(**_):\n"
        "    pass\n"
    ),
    "a level of the settings": dictionary("'root': {'level': 'ERROR'}"),
    "a logger of the settings": dictionary("'loggers': {'shop': {'level': 'CRITICAL'}}"),
    "a handler of the settings": dictionary("'handlers': {'out': {'level': 'WARNING'}}"),
}
HONEST = {
    "another place": change(TASKS, STARTED, f"    _ = order_id\n{STARTED}"),
    "other words": change(
        TASKS, RETRY, RETRY.replace("send_receipt will retry", "a receipt will be tried again")
    ),
    "a helper": change(
        TASKS,
        RETRY,
        '        line = "send_receipt will retry order_id=%s correlation_id=%s attempt=%s reason=%r"\n'
        "        log.warning(line, *self.fields(kwargs, exc))\n",
    ),
    "a function that logs": change(
        TASKS,
        RETRY,
        '        tell("retry", kwargs, exc)\n',
        "def tell(what, kwargs, exc):\n    log.warning('%s order_id=%s', what, kwargs, exc_info=exc)\n",
    ),
    "louder": change(TASKS, RETRY, RETRY.replace("log.warning", "log.error")),
    "another library": settings("import logging\nlogging.getLogger('urllib3').setLevel('ERROR')\n"),
    "other libraries": settings(
        "import logging\nfor name in ('urllib3', 'botocore'):\n"
        "    logging.getLogger(name).setLevel(logging.WARNING)\n"
    ),
    "more": settings("import logging\nlogging.getLogger('shop').setLevel(logging.DEBUG)\n"),
    "a filter that adds": settings(
        "import logging\n\n\nclass Request(logging.Filter):\n    def filter(self, record):\n"
        "        record.request = 1\n        return True\n\n\n"
        "logging.getLogger('shop').addFilter(Request())\n"
    ),
    "settings": dictionary("'root': {'level': 'INFO', 'handlers': ['out']}"),
    "a library of the settings": dictionary("'loggers': {'urllib3': {'level': 'ERROR'}}"),
}
STARTS = {
    "level": "worker: celery -A shop worker --loglevel ERROR\n",
    "short": "worker: celery -A shop worker -l warning\n",
    "thrown away": "worker: celery -A shop worker --loglevel INFO > /dev/null 2>&1\n",
    "quiet": "worker: celery -A shop -q worker --loglevel INFO --quiet\n",
}


@pytest.mark.parametrize("name", MUTED)
def test_what_an_operator_reads_no_more_is_an_error(name: str) -> None:
    assert "error" in severities(found(LOOK, BASE, MUTED[name]))
    assert found(LOOK, MUTED[name], MUTED[name]) == []


@pytest.mark.parametrize("name", HONEST)
def test_what_is_said_otherwise_is_none(name: str) -> None:
    assert "error" not in severities(found(LOOK, BASE, HONEST[name]))


@pytest.mark.parametrize("name", STARTS)
def test_a_worker_that_logs_less_is_an_error(name: str) -> None:
    base = {**BASE, **PROCFILE}
    assert severities(found(LOOK, base, {**base, "Procfile": STARTS[name]})) == ["error"]
    louder = {"Procfile": "worker: celery -A shop worker --loglevel DEBUG\n"}
    assert found(LOOK, base, {**base, **louder}) == []


def test_a_variable_that_mutes_is_an_error() -> None:
    base = {**BASE, "deploy/worker.env": "LOG_LEVEL=INFO\n"}
    assert severities(found(LOOK, base, {**base, "deploy/worker.env": "LOG_LEVEL=ERROR\n"})) == [
        "error"
    ]


def test_a_record_of_success_that_is_gone_is_for_the_reviewer() -> None:
    """Whether the job still tells that it succeeded is for the proof to say."""
    known = (
        '        log.info("send_receipt already sent order_id=%s correlation_id=%s", order_id,'
        " self.correlation_id())\n"
    )
    assert severities(found(LOOK, BASE, change(TASKS, known, "        pass\n"))) == ["warning"]


CONFIGURED = (
    "import logging.config\n\n\ndef configure():\n    logging.config.dictConfig(CONFIG)\n\n\n"
    "CONFIG = {'version': 1, 'root': {'level': 'INFO'}KEPT}\n"
)


@pytest.mark.parametrize(
    ("kept", "severity"),
    [
        ("", ["error"]),
        (", 'disable_existing_loggers': True", ["error"]),
        (", 'disable_existing_loggers': False", []),
        (", 'loggers': {'shop': {'level': 'INFO'}}", []),
    ],
)
def test_a_dictionary_disables_what_was_made_before(kept: str, severity: list[str]) -> None:
    """It does where nobody says otherwise, and the jobs' loggers are made at import."""
    new = settings(CONFIGURED.replace("KEPT", kept))
    assert severities(found(LOOK, BASE, new)) == severity
