"""A handler that tells an effect's errors by the code that they carry."""

from __future__ import annotations

import textwrap

import pytest
from looks import SPEC, SPEC_TEXT, Side, found, severities

LOOK = "failed-answer"
MAILER = """\
    import smtplib


    class NotSent(Exception):
        def __init__(self, answer, text=""):
            super().__init__(text)
            self.answer = answer


    def send(order_id, email, *, idempotency_key):
        try:
            with smtplib.SMTP("relay") as relay:
                relay.send_message(email)
        except smtplib.SMTPResponseException as error:
            raise NotSent(error.smtp_code) from error
"""
TASKS = """\
    from celery import shared_task

    from shop import mailer, receipts

    SOON = (421, 451)
    MOST = 5


    @shared_task(bind=True)
    def send_receipt(self, order_id, email):
        try:
            _deliver(order_id, email)
        except Exception as error:
            if not {passes} or self.request.retries >= MOST:
                receipts.give_up(order_id, repr(error))
                return
            raise self.retry(exc=error, countdown=20)


    def _deliver(order_id, email):
        mailer.send(order_id, email, idempotency_key=f"receipt-{{order_id}}")


    def _may_pass(error):
        if isinstance(error, mailer.NotSent):
            return {rule}
        return isinstance(error, OSError)
"""
FAILURES = """\
failures:
  transient: [{type: "shop.mailer:NotSent", args: [451, later]}]
  permanent: [{type: "shop.mailer:NotSent", args: [550, never]}]
"""
_BEFORE, _, _REST = SPEC_TEXT.partition("failures:\n")
SPECIFIED = _BEFORE + FAILURES + _REST[_REST.index("  acceptable_delay") :]


def shop(rule: str, passes: str = "_may_pass(error)", **more: str) -> Side:
    tasks = textwrap.dedent(TASKS).format(rule=rule, passes=passes)
    for was, now in more.items():
        tasks = tasks.replace(was, now)
    return {
        SPEC: SPECIFIED,
        "shop/__init__.py": "",
        "shop/receipts.py": "def give_up(order_id, why):\n    pass\n",
        "shop/mailer.py": MAILER,
        "shop/tasks.py": tasks,
    }


BASE = shop("error.answer < 500")


@pytest.mark.parametrize(
    "rule",
    [
        "error.answer in SOON",
        "error.answer == 451",
        "error.answer < 500 and error.answer not in (450, 452)",
        "str(error.answer) == '451'",
    ],
)
def test_fewer_codes_that_pass_are_an_error(rule: str) -> None:
    assert severities(found(LOOK, BASE, shop(rule))) == ["error"]


@pytest.mark.parametrize(
    "head",
    [
        shop("error.answer // 100 == 4"),
        shop("400 <= error.answer < 500"),
        shop("error.answer < 500 or error.answer == 554"),
        shop("not error.answer >= 500"),
        shop("error.answer < 500", _deliver="_hand_over"),
        shop("error.answer < 500", order_id="order"),
        shop("error.answer < 500", error="problem"),
        shop("error.answer < 500", passes="(error is not None and _may_pass(error))"),
    ],
)
def test_the_same_codes_told_otherwise_are_nothing(head: Side) -> None:
    assert found(LOOK, BASE, head) == []
