"""A handler that is written otherwise is read as before; the whole table is `make metamorphic`."""

from __future__ import annotations

from pathlib import Path

import pytest
import transformations as ways
import written_otherwise as metamorphic

TEXT = '''
import logging

from celery import shared_task
from shop import mailer

log = logging.getLogger(__name__)


@shared_task(bind=True, max_retries=4)
def send(self, order_id, email=""):
    """Mails once."""
    if not email:
        log.info("nothing to send order=%s", order_id)
        return
    key = f"receipt-{order_id}"
    mailer.send(email, key=key)
    log.info("sent order=%s reason=%r", order_id, key)
'''
EXPECTED = {
    "extract_function": "def perform_send(self, order_id, email):",
    "extract_class": "return SendCommand().execute(self, order_id, email)",
    "add_decorator": "@traced\ndef send(",
    "rename_locals": "mailer.send(email, key=the_key)",
    "rename_logger": '_journal.info("nothing to send order=%s", order_id)',
    "log_by_f_strings": 'log.info(f"sent order={order_id} reason={key!r}")',
    "log_by_loguru": "log.info('sent order={} reason={!r}', order_id, key)",
    "settings_for_literals": "max_retries=house_settings.MAX_RETRIES",
    "import_under_another_name": "its_mailer.send(email, key=key)",
    "nest_the_rest": "    else:\n        key = ",
}


@pytest.mark.parametrize("name", ways.list_transformations())
def test_each_writes_otherwise(name: str) -> None:
    written = ways.TRANSFORMATIONS[name](TEXT, "send")
    assert written is not None
    assert EXPECTED[name] in written.text
    compile(written.text, name, "exec")


@pytest.mark.parametrize("name", ways.list_transformations())
def test_what_is_not_there_is_left_alone(name: str) -> None:
    assert ways.TRANSFORMATIONS[name]("VALUE = 1\n", "send") is None


@pytest.mark.real
@pytest.mark.parametrize("name", ["extract_class", "extract_function", "log_by_f_strings"])
def test_it_is_read_as_before(name: str, tmp_path: Path) -> None:
    change = metamorphic.compare("rq_invoice", name, tmp_path)
    assert change is not None
    assert change.new_errors == ()
    assert change.lost_errors == ()
