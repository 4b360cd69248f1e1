"""Berth dues: another right version and three wrong ones."""

import pathlib

_HERE = pathlib.Path(__file__).resolve().parent / "base"
JOB = "bill-berths"


def whole(path):
    return (_HERE / path).read_text()


FLOCK_BILLING = '''"""The job bill-berths: what `manage.py bill_berths` does. One run works at a time."""

import fcntl
import logging
import os
import time
import uuid
from collections import Counter
from contextlib import contextmanager

from django.conf import settings
from django.db import DatabaseError

from . import claims, filing, post


class StayLog(logging.LoggerAdapter):
    def process(self, msg, kwargs):
        head = " ".join(f"{name}={value}" for name, value in self.extra.items())
        return f"{head} {msg}", kwargs


def bill_due():
    """Bill the stays that have ended. Returns how often what came out."""
    outcomes = Counter()
    with only_run() as alone:
        if not alone:
            outcomes["busy"] = 1
            return outcomes
        filing.clear_parts(settings.ACCOUNTING_DIR)
        run = uuid.uuid4().hex[:12]
        for stay_id in claims.due_ids():
            outcomes[Bill(stay_id, run).settle()] += 1
    return outcomes


@contextmanager
def only_run():
    """A lock on our own directory. The kernel takes it back from a run that dies."""
    handle = os.open(settings.BASE_DIR, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(handle)


class Bill:
    def __init__(self, stay_id, run):
        self.stay_id = stay_id
        self.run = run
        self.stay = None
        self.log = self._log(f"stay:{stay_id}", 0)

    def _log(self, key, attempt):
        return StayLog(logging.getLogger("berths.billing"), {"job_id": self.run, "key": key, "attempt": attempt})

    def settle(self):
        try:
            return self._settle()
        except Exception as error:
            self.log.error("outcome=interrupted error=%s", type(error).__name__)
            return "interrupted"

    def _settle(self):
        self.stay = claims.claim(self.stay_id)
        if self.stay is None:
            if not claims.park_exhausted(self.stay_id):
                return "skipped"
            self.log.error("outcome=parked error=exhausted")
            return "parked"
        self.log = self._log(self.stay.invoice_number, self.stay.attempts)
        self.log.info("outcome=started")
        for step in (self._file, self._mail):
            try:
                step()
            except DatabaseError:
                raise
            except claims.Lost:
                self.log.warning("outcome=superseded")
                return "superseded"
            except Exception as error:
                return self._failed(error)
        self.log.info("outcome=billed")
        return "billed"

    def _file(self):
        if self.stay.filed_at is None:
            content = filing.invoice_xml(self.stay)
            filing.put(settings.ACCOUNTING_DIR, self.stay.invoice_number, content)
            persist(claims.mark_filed, self.stay)

    def _mail(self):
        if not claims.extend(self.stay):
            raise claims.Lost
        post.send_notice(self.stay)
        persist(claims.mark_billed, self.stay)

    def _failed(self, error):
        name = type(error).__name__
        if post.is_final(error) or self.stay.attempts >= claims.MAX_ATTEMPTS:
            persist(claims.park, self.stay, name)
            self.log.error("outcome=parked error=%s", name)
            return "parked"
        persist(claims.postpone, self.stay)
        self.log.warning("outcome=retry error=%s", name)
        return "retry"


def persist(write, *args):
    for pause in (0.1, 0.3, None):
        try:
            return write(*args)
        except DatabaseError:
            if pause is None:
                raise
            time.sleep(pause)
'''

VARIANTS = [
    {
        "id": "ok-one-run",
        "kind": "correct",
        "job": JOB,
        "what": (
            "One run at a time: a flock on the program's directory, which the kernel gives back when the run dies. The "
            "stay's claim is a compare-and-set on its number of attempts, which is the fence, too; no holder. The work is "
            "an object with steps, the log a LoggerAdapter."
        ),
        "edits": [
            ("berths/billing.py", whole("berths/billing.py"), FLOCK_BILLING),
            (
                "berths/claims.py",
                '''def claim(stay_id):
    """The stay, if it is ours now; None if it is somebody else's, or not to be billed any more."""
    token = uuid.uuid4().hex
    taken = (
        _free()
        .filter(pk=stay_id, attempts__lt=MAX_ATTEMPTS)
        .update(attempts=F("attempts") + 1, holder=token, not_before=timezone.now() + LEASE)
    )
    return Stay.objects.filter(pk=stay_id, holder=token).first() if taken else None
''',
                '''class Lost(Exception):
    """The stay has gone on to another attempt, or has come to its end."""


def claim(stay_id):
    """The stay, if it is ours now; None if it is somebody else's, or not to be billed any more."""
    stay = _free().filter(pk=stay_id, attempts__lt=MAX_ATTEMPTS).first()
    if stay is None:
        return None
    same = _free().filter(pk=stay_id, attempts=stay.attempts)
    stay.attempts += 1
    return stay if same.update(attempts=stay.attempts, not_before=timezone.now() + LEASE) else None
''',
            ),
            (
                "berths/claims.py",
                "    return Stay.objects.filter(pk=stay.pk, status=Stay.Status.DEPARTED, holder=stay.holder)\n",
                "    return Stay.objects.filter(pk=stay.pk, status=Stay.Status.DEPARTED, attempts=stay.attempts)\n",
            ),
            ("berths/claims.py", "import uuid\nfrom datetime", "from datetime"),
            ("berths/claims.py", "from django.db.models import F\n", ""),
        ],
    },
    {
        "id": "m-issued-stamp",
        "kind": "mistake",
        "job": JOB,
        "what": (
            "effects.file, convergent (one number, one content): the document carries the moment at which it was made. A run "
            "puts the file into the folder and dies before mark_filed; ten minutes later the next run puts another document "
            "under the same number, perhaps after the accounting has fetched the first: two different invoices LG-2026-00001."
        ),
        "edits": [
            (
                "berths/filing.py",
                '    root = ET.Element("Invoice", number=stay.invoice_number, date=stay.departed_on.isoformat())\n',
                '    root = ET.Element("Invoice", number=stay.invoice_number, date=stay.departed_on.isoformat())\n'
                '    root.set("issued", timezone.now().isoformat(timespec="seconds"))\n',
            ),
            (
                "berths/filing.py",
                "from xml.etree import ElementTree as ET\n",
                "from xml.etree import ElementTree as ET\n\nfrom django.utils import timezone\n",
            ),
        ],
    },
    {
        "id": "m-filed-first",
        "kind": "mistake",
        "job": JOB,
        "what": (
            "idempotency and failures.transient (a full disk or an absent share is tried again): filed_at is set before the "
            "file is put, so that it cannot be put twice. The mark is committed, then put raises OSError, or the run is "
            "killed. The next run sees filed_at, skips the file, mails the agent and calls the stay billed: the accounting "
            "never gets the invoice."
        ),
        "edits": [
            (
                "berths/billing.py",
                """    if stay.filed_at is None:
        filing.put(settings.ACCOUNTING_DIR, stay.invoice_number, filing.invoice_xml(stay))
        _insist(claims.mark_filed, stay)
""",
                """    if stay.filed_at is None and _insist(claims.mark_filed, stay):
        filing.put(settings.ACCOUNTING_DIR, stay.invoice_number, filing.invoice_xml(stay))
""",
            )
        ],
    },
    {
        "id": "m-greylisted",
        "kind": "mistake",
        "job": JOB,
        "what": (
            "failures.transient (SMTPDataError 451): what the mail server says about a mail is taken for final, whatever the "
            "code. The agent's server greylists the first mail with 451; the stay is parked after one attempt instead of "
            "being mailed 14 minutes later."
        ),
        "edits": [
            (
                "berths/post.py",
                """    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return all(code >= 500 for code, _ in error.recipients.values())
    return isinstance(error, smtplib.SMTPDataError) and error.smtp_code >= 500
""",
                """    return isinstance(error, (smtplib.SMTPRecipientsRefused, smtplib.SMTPDataError))
""",
            )
        ],
    },
]
