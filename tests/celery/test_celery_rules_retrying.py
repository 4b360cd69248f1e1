"""The rules about retrying and swallowed errors, in pairs; see test_celery_rules.py."""

from __future__ import annotations

from celery_rules import ERROR, NOTE, WARNING, Check, task

# Retrying

RETRY = """
try:
    mailer.send(order_id)
except mailer.Unavailable as exc:
    raise self.retry(exc=exc, countdown=2 ** self.request.retries)
"""


def test_retry_unbounded(check_finds: Check, check_ignores: Check) -> None:
    rule = "retry-unbounded"
    check_finds(rule, task(RETRY, "bind=True, max_retries=None"), ERROR, "without end")
    automatic = "@app.task(autoretry_for=(OSError,), max_retries=None)\ndef send_receipt(o): ...\n"
    check_finds(
        rule,
        automatic,
        ERROR,
        "without end",
        line="@app.task(autoretry_for=(OSError,), max_retries=None)",
    )
    check_ignores(rule, task(RETRY, "bind=True, max_retries=9"))
    check_ignores(rule, "@app.task(max_retries=None)\ndef send_receipt(o): ...\n")
    check_ignores(
        rule,
        task(
            "if self.request.retries >= 3: raise Reject()\n" + RETRY, "bind=True, max_retries=None"
        ),
    )


def test_retry_everything(check_finds: Check, check_ignores: Check) -> None:
    rule, broad = (
        "retry-everything",
        "@app.task(autoretry_for=(Exception,))\ndef send_receipt(o): ...\n",
    )
    check_finds(rule, broad, ERROR, "autoretry_for names every exception")
    check_finds(
        rule, broad, ERROR, "every exception", spec={"failures": {"transient": ["TimeoutError"]}}
    )
    caught = (
        "try:\n    mailer.send(order_id)\nexcept mailer.BadAddress:\n    dead.record(order_id)\n   "
        " return\nprint(1)\n"
    )
    check_finds(
        rule, task(caught, "bind=True, autoretry_for=(Exception,)"), WARNING, "every exception"
    )
    check_finds(
        rule,
        task(RETRY.replace("mailer.Unavailable", "Exception")),
        ERROR,
        "this clause catches every",
    )
    check_finds(
        rule,
        task(RETRY.replace(" mailer.Unavailable as exc", "").replace("exc=exc, ", "")),
        ERROR,
        "every exception",
    )
    check_ignores(rule, task(RETRY))
    check_ignores(rule, broad.replace("(Exception,)", "(OSError, mailer.Unavailable)"))
    check_ignores(
        rule, broad.replace("(Exception,)", "(Exception,), dont_autoretry_for=(mailer.BadAddress,)")
    )


def test_flat_backoff(check_finds: Check, check_ignores: Check) -> None:
    rule, flat = (
        "flat-backoff",
        "@app.task(autoretry_for=(OSError,), default_retry_delay=30)\ndef send_receipt(o): ...\n",
    )
    check_finds(rule, flat, WARNING, "every retry waits 30 s", line=flat.splitlines()[0])
    check_finds(
        rule,
        task("try: mailer.send(1)\nexcept OSError as e: self.retry(exc=e)"),
        WARNING,
        "180 s (3 min)",
    )
    check_ignores(rule, flat.replace("default_retry_delay=30", "retry_backoff=True"))
    check_ignores(rule, flat.replace("default_retry_delay=30", "max_retries=1"))
    check_ignores(rule, task(RETRY))
    fixed = {"retry": {"max_attempts": 4, "backoff": {"kind": "fixed", "base": 30}}}
    check_ignores(rule, flat, spec=fixed)


def test_retry_without_exc(check_finds: Check, check_ignores: Check) -> None:
    rule = "retry-without-exc"
    check_finds(rule, task(RETRY.replace("exc=exc, ", "")), WARNING, "MaxRetriesExceededError")
    check_ignores(rule, task(RETRY))
    check_ignores(rule, task("if not ready(order_id):\n    raise self.retry(countdown=5)"))


def test_permanent_retried(check_finds: Check, check_ignores: Check) -> None:
    rule, auto = (
        "permanent-retried",
        (
            "@app.task(autoretry_for=({},), retry_backoff=True)\ndef send_receipt(o):\n   "
            " mailer.send(o)\n"
        ),
    )
    place = "@app.task(autoretry_for=(Exception,), retry_backoff=True)"
    check_finds(
        rule, auto.format("Exception"), ERROR, "shop.mailer:BadAddress is permanent", line=place
    )
    check_finds(rule, auto.format("mailer.MailError"), ERROR, "shop.mailer:BadAddress is permanent")
    check_finds(
        rule,
        task(RETRY.replace("mailer.Unavailable", "mailer.MailError")),
        ERROR,
        "raise self.retry(exc=exc",
    )
    check_finds(
        rule,
        task(RETRY.replace("mailer.Unavailable", "(OSError, mailer.BadAddress)")),
        ERROR,
        "BadAddress",
    )
    check_ignores(rule, auto.format("mailer.Unavailable"))
    check_ignores(
        rule,
        auto.format("mailer.MailError").replace(
            "retry_backoff", "dont_autoretry_for=(mailer.BadAddress,), retry_backoff"
        ),
    )
    check_ignores(rule, task(RETRY))


def test_a_permanent_error_that_is_caught_on_the_way(
    check_finds: Check, check_ignores: Check
) -> None:
    rule = "permanent-retried"
    earlier = """
        try:
            mailer.send(order_id)
        except mailer.BadAddress:
            dead.record(order_id)
        except mailer.MailError as exc:
            raise self.retry(exc=exc)
        """
    check_ignores(rule, task(earlier))
    inner = """
        try:
            try:
                mailer.send(order_id)
            except mailer.BadAddress:
                return dead.record(order_id)
            log(order_id)
        except Exception as exc:
            raise self.retry(exc=exc)
        """
    check_ignores(rule, task(inner))
    check_finds(
        rule, task(inner.replace("return dead.record(order_id)", "raise")), ERROR, "BadAddress"
    )
    recorded = (
        "try:\n    mailer.send(order_id)\nexcept mailer.BadAddress:\n    {}\nmark(order_id)\n"
    )
    broad = "bind=True, autoretry_for=(Exception,)"
    check_ignores(rule, task(recorded.format("return dead.record(1)"), broad))
    check_ignores(rule, task(recorded.format("raise Reject('bad', requeue=False)"), broad))
    check_finds(rule, task(recorded.format("raise"), broad), ERROR, "BadAddress")


def test_a_condition_decides_whether_a_permanent_error_is_retried(check_finds: Check) -> None:
    condition = """
        try:
            mailer.send(order_id)
        except mailer.MailError as exc:
            if exc.status >= 500:
                raise self.retry(exc=exc)
            raise
        """
    check_finds("permanent-retried", task(condition), NOTE, "depends on a condition")
    check_finds(
        "permanent-retried",
        task(condition.replace("exc.status >= 500", "self.request.retries < 3")),
        ERROR,
        "BadAddress",
    )


def test_a_kind_of_permanent_error(check_finds: Check) -> None:
    kind = "class Bounced(mailer.BadAddress): ...\n" + task(
        RETRY.replace("mailer.Unavailable", "Bounced")
    )
    check_finds(
        "permanent-retried", kind, WARNING, "shop.tasks.Bounced is run again here, and is a kind of"
    )


def test_library_exceptions_are_known(check_finds: Check, check_ignores: Check) -> None:
    spec = {"failures": {"permanent": [{"type": "requests:HTTPError", "args": ["410 Gone"]}]}}
    auto = "import requests\n@app.task(autoretry_for=({},))\ndef send_receipt(o):\n    mailer.send(o)\n"
    rule = "permanent-retried"
    check_finds(
        rule,
        auto.format("requests.exceptions.RequestException"),
        ERROR,
        "requests:HTTPError",
        spec=spec,
    )
    check_finds(rule, auto.format("OSError"), ERROR, "requests:HTTPError", spec=spec)
    check_ignores(rule, auto.format("requests.Timeout"), spec=spec)


# Swallowing

SWALLOW = """
try:
    mailer.send(order_id)
except {}:
    {}
"""


SUPPRESS = "import contextlib\nwith contextlib.suppress({}):\n    mailer.send(order_id)\n"


def test_swallowed_exception(check_finds: Check, check_ignores: Check) -> None:
    rule = "swallowed-exception"
    check_finds(
        rule,
        task(SWALLOW.format("Exception", "return {'status': 'error'}")),
        ERROR,
        "every exception",
    )
    check_finds(
        rule, task(SWALLOW.format("mailer.Unavailable", "pass")), ERROR, "shop.mailer:Unavailable"
    )
    check_finds(rule, task(SWALLOW.format("OSError", "log.exception('x')")), ERROR, "TimeoutError")
    check_ignores(rule, task(SWALLOW.format("mailer.BadAddress", "return")))
    check_ignores(rule, task(SWALLOW.format("Exception", "log.exception('x'); raise")))
    check_ignores(rule, task(SWALLOW.format("Exception as exc", "self.retry(exc=exc)")))
    check_ignores(rule, task(SWALLOW.format("Exception", "dead.record(order_id)")))
    check_finds(rule, task(SUPPRESS.format("Exception")), ERROR, "drops every exception")
    check_finds(
        rule, task(SUPPRESS.format("mailer.Unavailable")), ERROR, "drops shop.mailer:Unavailable"
    )
    helper = "def post(order_id):\n    mailer.send(order_id)\n"
    through = helper + task(SUPPRESS.format("Exception").replace("mailer.send", "post"))
    check_finds(rule, through, ERROR, "drops every exception")
    check_ignores(rule, task(SUPPRESS.format("mailer.BadAddress")))
    check_ignores(
        rule, task("with contextlib.suppress(Exception):\n    warm_up()\nmailer.send(order_id)\n")
    )
    parsing = "try:\n    n = int(order_id)\nexcept Exception:\n    n = 0\nmailer.send(n)\n"
    check_ignores(rule, task(parsing))


TABLE = {"dead_letter": {"kind": "table", "where": "dead_jobs"}}


def test_permanent_not_recorded(check_finds: Check, check_ignores: Check) -> None:
    rule, bad = "permanent-not-recorded", "mailer.BadAddress as exc"
    check_finds(
        rule,
        task(SWALLOW.format(bad, "log.error(exc)")),
        ERROR,
        "shop.mailer:BadAddress",
        spec=TABLE,
    )
    check_finds(
        rule, task(SWALLOW.format("mailer.MailError", "return")), ERROR, "BadAddress", spec=TABLE
    )
    only_logs = "def bury(order_id, exc):\n    log.error(exc)\n" + task(
        SWALLOW.format(bad, "bury(order_id, exc)")
    )
    check_finds(rule, only_logs, ERROR, "without a dead letter", spec=TABLE)
    stores = only_logs.replace("log.error(exc)", "session.add(Lost(order_id))")
    check_ignores(rule, stores, spec=TABLE)
    check_ignores(rule, task(SWALLOW.format(bad, "raise")), spec=TABLE)
    check_ignores(rule, task(SWALLOW.format(bad, "log.error(exc)")))
    check_ignores(rule, task(SWALLOW.format("mailer.Unavailable", "return")), spec=TABLE)
    later = SWALLOW.format(bad, "failed = exc") + "else:\n    return\ndead.record(failed)\n"
    check_ignores(rule, task(later), spec=TABLE)
    parsing = (
        "try:\n    order_id.check()\nexcept mailer.BadAddress:\n    order_id ="
        " 0\nmailer.send(order_id)\n"
    )
    check_ignores(rule, task(parsing), spec=TABLE)


def test_soft_time_limit_swallowed(check_finds: Check, check_ignores: Check) -> None:
    rule, limit = "soft-time-limit-swallowed", "bind=True, soft_time_limit=30"
    check_finds(
        rule,
        task(SWALLOW.format("Exception", "return None"), limit),
        WARNING,
        "soft_time_limit is 30 s",
    )
    check_ignores(rule, task(SWALLOW.format("Exception", "return None")))
    check_ignores(rule, task(SWALLOW.format("OSError", "return None"), limit))
    first = (
        SWALLOW.format("SoftTimeLimitExceeded", "raise") + "except Exception:\n    return None\n"
    )
    check_ignores(rule, task(first, limit))
