"""Notary's office: one more that is right, and three that are not."""

JOB = "file-deed"

VARIANTS = [
    {
        "id": "ok-versioned-rows",
        "kind": "correct",
        "job": JOB,
        "what": (
            'Rows carry a version: a change is decided on the row as read and written only if the version is '
            'still the same, else read and decided anew. Retries by autoretry_for and the end by on_failure, in a '
            "task base class; the stage an error ends is said by the error's class."
        ),
        "edits": [
            (".skillrun/jobs/file-deed.yaml", '''  dedupe: {store: table deeds_filing (state)}
''', '''  dedupe: {store: "table deeds_filing (state, version)"}
'''),
            ("README.md", '''* The register gives one receipt per submission id, for 30 days. We hand nothing in under an id that is older than 25.
* The mail has a fixed Message-ID. After a crash between mail and mark a client may get it twice; mail programs show one.
''', '''* A filing is written only if it has the `version` that it was read with (`deeds/filing.py`); who was overtaken reads again.
* The register gives one receipt per submission id, for 30 days. We hand nothing in under an id that is older than 25.
* The mail has a fixed Message-ID. After a crash between mail and mark a client may get it twice; mail programs show one.
* `deeds/base.py` has what is common to tasks: when to try again, when to give up, how to log.
'''),
            ("deeds/base.py", "", '''"""How a task about a deed is tried again, given up, and spoken of in the log."""
import hashlib
import json
import logging

from celery import Task
from django.conf import settings
from django.db import Error as DatabaseTrouble

from . import filing as filings
from .errors import BadMessage, Final, Overtaken, Passing

logger = logging.getLogger("deeds.tasks")


def checked(**message):
    deed_id = message.pop("deed_id", None)
    if message or type(deed_id) is not int or not 0 < deed_id < 2**63:
        raise BadMessage("expected deed_id, a positive integer")
    return deed_id


class DeedTask(Task):
    acks_late = True
    reject_on_worker_lost = True
    autoretry_for = (Passing, Overtaken, DatabaseTrouble)
    max_retries = settings.FILING_TRIES - 1
    retry_backoff = settings.FILING_FIRST_WAIT
    retry_backoff_max = settings.FILING_LONGEST_WAIT
    retry_jitter = False

    def on_retry(self, exc, task_id, args, kwargs, einfo):
        self.say("filing failed, will be tried again", "retry", logging.WARNING, reason=reason(exc))

    def on_failure(self, exc, task_id, args, kwargs, einfo):
        if not isinstance(exc, (Passing, Final)):
            # The row is still open, and the sweep will find it.
            self.say("filing broken off", "left to the sweep", logging.ERROR, reason=reason(exc))
            return
        message, deed_id, key = self.named(args, kwargs)
        letter = {"job_id": task_id, "message": message[:1000], "reason": reason(exc)[:200]}
        for left in (2, 1, 0):
            try:
                ended = self.close(exc, deed_id, key, letter)
                break
            except DatabaseTrouble:
                if not left:
                    raise
        if ended:
            self.say("filing given up", "dead", logging.ERROR, reason=reason(exc))
        else:
            self.say("ended elsewhere", "skipped", reason=reason(exc))

    @staticmethod
    def close(exc, deed_id, key, letter):
        if exc.stages is None:
            return filings.bury(key, letter)
        return filings.give_up(deed_id, exc.stages, letter)

    @staticmethod
    def named(args, kwargs):
        message = dict(zip(["deed_id"], args), **kwargs)
        text = json.dumps(message, sort_keys=True, default=str)
        try:
            deed_id = checked(**message)
        except BadMessage:
            return text, None, "message-" + hashlib.sha256(text.encode()).hexdigest()[:20]
        return text, deed_id, f"deed-{deed_id}"

    def say(self, text, outcome, level=logging.INFO, **more):
        request = self.request
        key = self.named(request.args or (), request.kwargs or {})[2]
        extra = {"job": "file-deed", "job_id": request.id, "key": key, "attempt": request.retries + 1}
        logger.log(level, text, extra=extra | {"outcome": outcome} | more)


def reason(exc):
    return f"{type(exc).__name__}: {exc}" if isinstance(exc, (Passing, Final)) else type(exc).__name__
'''),
            ("deeds/errors.py", '''    """Worth another try."""
''', '''    """Worth another try."""

    stages = ("signed", "filed")  # where a filing must stand for this to be its end
'''),
            ("deeds/errors.py", '''
class RegisterAway(Passing):
    pass


class MailAway(Passing):
    pass


class FilingRefused(Final):
    pass


class MailRefused(Final):
    pass


class BadMessage(Final):
    pass


class NoSuchDeed(Final):
    pass


class SubmissionTooOld(Final):
    pass
''', '''    stages = ("signed", "filed")


class RegisterAway(Passing):
    stages = ("signed",)


class MailAway(Passing):
    stages = ("filed",)


class Overtaken(Exception):
    """Somebody else was always faster to write; nothing was."""


class FilingRefused(Final):
    stages = ("signed",)


class MailRefused(Final):
    stages = ("filed",)


class BadMessage(Final):
    stages = None  # there is no filing


class NoSuchDeed(Final):
    stages = None


class SubmissionTooOld(Final):
    stages = ("signed",)
'''),
            ("deeds/filing.py", '''"""Every change of a filing, each a transaction of its own.

    signed -> filed -> confirmed        or not_filed, unconfirmed where it was given up

What the register or the mail server has taken outweighs that somebody else has given up meanwhile.
"""
from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from .errors import NoSuchDeed, StartedTooOften, SubmissionTooOld
''', '''"""Every change of a filing.

    signed -> filed -> confirmed        or not_filed, unconfirmed where it was given up

A change is decided on a row that was read, and written if the row still has the version that it was read with; else it is
read and decided anew. What the register or the mail server has taken outweighs that somebody else has given up meanwhile.
"""
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from .errors import NoSuchDeed, Overtaken, StartedTooOften, SubmissionTooOld
'''),
            ("deeds/filing.py", '''def find(deed_id):
''', '''def read(deed_id):
'''),
            ("deeds/filing.py", '''def start(filing):
    """Count a start; False if there is nothing left to do."""
    now = timezone.now()
    started = Filing.objects.filter(pk=filing.pk, state__in=UNDER_WAY).update(
        starts=F("starts") + 1, look_at=now + settings.FILING_PATIENCE
    )
    if not started:
        return False
    filing.refresh_from_db(fields=["state", "starts", "receipt"])
    if filing.state not in UNDER_WAY:
        return False
''', '''def change(deed_id, decide, letters=None, goes=6):
    """Write what `decide` makes of the row; `letters` settles the dead letter in the same transaction.

    Returns the row as it is now, and whether it was changed.
    """
    for _ in range(goes):
        with transaction.atomic():
            filing = read(deed_id)
            values = decide(filing)
            if not values:
                return filing, False
            values["version"] = filing.version + 1
            if Filing.objects.filter(pk=filing.pk, version=filing.version).update(**values):
                if letters:
                    letters(filing.key)
                for name, value in values.items():
                    setattr(filing, name, value)
                return filing, True
    raise Overtaken(f"{goes} times")


def start(deed_id):
    """The filing, a start counted; None if there is nothing left to do."""
    now = timezone.now()

    def count(filing):
        if filing.state in UNDER_WAY:
            return {"starts": filing.starts + 1, "look_at": now + settings.FILING_PATIENCE}

    filing, counted = change(deed_id, count)
    if not counted:
        return None
'''),
            ("deeds/filing.py", '''    return True


def enter_receipt(filing, receipt):
    now = timezone.now()
    with transaction.atomic():
        entered = Filing.objects.filter(pk=filing.pk, state__in=[State.SIGNED, State.NOT_FILED]).update(
            state=State.FILED, receipt=receipt, filed_at=now, look_at=now + settings.FILING_PATIENCE
        )
        if entered:
            DeadLetter.objects.filter(key=filing.key).delete()
    filing.refresh_from_db(fields=["state", "receipt"])


def mark_confirmed(filing):
    with transaction.atomic():
        marked = Filing.objects.filter(pk=filing.pk, state__in=[State.FILED, State.UNCONFIRMED]).update(
            state=State.CONFIRMED, confirmed_at=timezone.now(), look_at=None
        )
        if marked:
            DeadLetter.objects.filter(key=filing.key).delete()
    filing.state = State.CONFIRMED


def give_up(filing, letter):
    """Close a filing where it stands, with a dead letter; False if it has moved on since."""
    with transaction.atomic():
        closed = Filing.objects.filter(pk=filing.pk, state=filing.state).update(
            state=GIVEN_UP_AS[filing.state], look_at=None
        )
        if closed:
            bury(filing.key, letter)
    return bool(closed)
''', '''    return filing


def enter_receipt(deed_id, receipt):
    now = timezone.now()

    def enter(filing):
        if filing.state in (State.SIGNED, State.NOT_FILED):
            return {
                "state": State.FILED, "receipt": receipt, "filed_at": now, "look_at": now + settings.FILING_PATIENCE
            }

    return change(deed_id, enter, dig_up)[0]


def mark_confirmed(deed_id):
    def mark(filing):
        if filing.state in (State.FILED, State.UNCONFIRMED):
            return {"state": State.CONFIRMED, "confirmed_at": timezone.now(), "look_at": None}

    return change(deed_id, mark, dig_up)[0]


def give_up(deed_id, stages, letter):
    """Close a filing that stands at one of the stages, with a dead letter; False if it has moved on since."""

    def close(filing):
        if filing.state in stages:
            return {"state": GIVEN_UP_AS[filing.state], "look_at": None}

    return change(deed_id, close, lambda key: bury(key, letter))[1]


def dig_up(key):
    DeadLetter.objects.filter(key=key).delete()
'''),
            ("deeds/migrations/0002_filing_version.py", "", '''from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("deeds", "0001_initial")]

    operations = [
        migrations.AddField(
            model_name="filing",
            name="version",
            field=models.PositiveIntegerField(default=0),
        ),
    ]
'''),
            ("deeds/models.py", '''    look_at = models.DateTimeField(null=True)  # when the sweep shall ask what became of it
''', '''    look_at = models.DateTimeField(null=True)  # when the sweep shall ask what became of it
    version = models.PositiveIntegerField(default=0)
'''),
            ("deeds/tasks.py", '''import hashlib
import json
import logging

from celery import shared_task
from django.conf import settings
from django.db import Error as DatabaseTrouble

from . import desk, filing as filings, letters
from .errors import BadMessage, Final, Passing
from .models import Filing
from .register import RegisterClient

logger = logging.getLogger(__name__)


@shared_task(bind=True, acks_late=True, reject_on_worker_lost=True, max_retries=settings.FILING_TRIES - 1)
def file_deed(self, deed_id=None, **surplus):
    """File a signed deed at the public register, then tell the client."""
    job = Job(self, {"deed_id": deed_id, **surplus})
    try:
        job.read()
        if not filings.start(job.filing):
            job.say(logging.INFO, "nothing to do", "skipped")
            return
        job.say(logging.INFO, "filing started", "started")
        if job.filing.state == Filing.State.SIGNED:
            submit(job)
        if job.filing.state == Filing.State.FILED:
            confirm(job)
    except Final as exc:
        job.end(exc)
    except (Passing, DatabaseTrouble) as exc:
        if self.request.retries < self.max_retries:
            wait = pause(self.request.retries)
            job.say(logging.WARNING, "filing failed, will be tried again", "retry", reason=reason(exc), wait=wait)
            raise self.retry(exc=exc, countdown=wait)
        if isinstance(exc, DatabaseTrouble):
            # Nothing can be written down now; the row is still open, and the sweep will find it.
            job.say(logging.ERROR, "database away", "left to the sweep", reason=reason(exc))
            raise
        job.end(exc)


def submit(job):
    deed = job.filing.deed
    receipt = RegisterClient().submit(
        submission_id=job.filing.submission_id,
        number=deed.number,
        title=deed.title,
        signed_on=deed.signed_at.date().isoformat(),
    )
    filings.enter_receipt(job.filing, receipt)
    job.say(logging.INFO, "deed filed", "filed", receipt=receipt)


def confirm(job):
    letters.post(**letters.confirmation(job.filing))
    filings.mark_confirmed(job.filing)
    job.say(logging.INFO, "client told", "confirmed")


def pause(retries):
    return min(settings.FILING_FIRST_WAIT * 2**retries, settings.FILING_LONGEST_WAIT)


def reason(exc):
    return f"{type(exc).__name__}: {exc}" if isinstance(exc, (Passing, Final)) else type(exc).__name__


class Job:
    """A delivery of file_deed: its message, its filing, and how it is spoken of in the log."""

    def __init__(self, task, message):
        self.request = task.request
        self.message = json.dumps(message, sort_keys=True, default=str)
        self.fields = message
        self.filing = None
        self.key = "message-" + hashlib.sha256(self.message.encode()).hexdigest()[:20]

    def read(self):
        deed_id = self.fields["deed_id"]
        if type(deed_id) is not int or not 0 < deed_id < 2**63 or len(self.fields) > 1:
            raise BadMessage("expected deed_id, a positive integer")
        self.key = f"deed-{deed_id}"
        self.filing = filings.find(deed_id)

    def end(self, exc):
        letter = {"job_id": self.request.id or "", "message": self.message[:1000], "reason": reason(exc)[:200]}
        if self.filing is None:
            ended = insist(filings.bury, self.key, letter)
        else:
            ended = insist(filings.give_up, self.filing, letter)
        if ended:
            self.say(logging.ERROR, "filing given up", "dead", reason=reason(exc))
        else:
            self.say(logging.INFO, "ended elsewhere", "skipped", reason=reason(exc))

    def say(self, level, text, outcome, **more):
        extra = {"job": "file-deed", "job_id": self.request.id, "key": self.key, "attempt": self.request.retries + 1}
        logger.log(level, text, extra=extra | {"outcome": outcome} | more)


def insist(write, *args, times=3):
    for left in range(times - 1, -1, -1):
        try:
            return write(*args)
        except DatabaseTrouble:
            if not left:
                raise
''', '''from celery import shared_task

from . import desk, filing as filings, letters
from .base import DeedTask, checked
from .models import Filing
from .register import RegisterClient


@shared_task(bind=True, base=DeedTask)
def file_deed(self, deed_id=None, **surplus):
    """File a signed deed at the public register, then tell the client."""
    deed_id = checked(deed_id=deed_id, **surplus)
    filing = filings.start(deed_id)
    if filing is None:
        self.say("nothing to do", "skipped")
        return
    self.say("filing started", "started", state=str(filing.state))
    if filing.state == Filing.State.SIGNED:
        deed = filing.deed
        receipt = RegisterClient().submit(
            submission_id=filing.submission_id,
            number=deed.number,
            title=deed.title,
            signed_on=deed.signed_at.date().isoformat(),
        )
        filing = filings.enter_receipt(deed_id, receipt)
        self.say("deed filed", "filed", receipt=receipt)
    if filing.state == Filing.State.FILED:
        letters.post(**letters.confirmation(filing))
        filings.mark_confirmed(deed_id)
        self.say("client told", "confirmed")
'''),
            ("notariat/jsonlog.py", '''FIELDS = ("job", "job_id", "key", "attempt", "outcome", "reason", "receipt", "wait")
''', '''FIELDS = ("job", "job_id", "key", "attempt", "outcome", "reason", "receipt", "state")
'''),
            ("tests/test_filing.py", '''from deeds.tasks import file_deed, pause
''', '''from deeds.tasks import file_deed
'''),
            ("tests/test_filing.py", '''def test_waits_grow():
    assert [pause(n) for n in range(5)] == [60, 120, 240, 480, 600]


''', ''),
            ("tests/test_filing.py", '''    slow = filing.find(1)
    filing.start(slow)
    register.busy = [FilingRefused("HTTP 422")]
    file_deed.delay(deed_id=1)
    filing.enter_receipt(slow, "GR-9")
''', '''    filing.start(1)
    register.busy = [FilingRefused("HTTP 422")]
    file_deed.delay(deed_id=1)
    filing.enter_receipt(1, "GR-9")
'''),
            ("tests/test_filing.py", '''    stuck = filing.find(1)
    filing.start(stuck)
    filing.enter_receipt(stuck, "GR-1")
''', '''    filing.start(1)
    filing.enter_receipt(1, "GR-1")
'''),
            ("tests/test_filing.py", '''def test_workers_die_of_it(register):
    for _ in range(10):
        filing.start(filing.find(1))
''', '''def test_somebody_else_was_faster(register, monkeypatch):
    read, others = filing.read, [1, 1]

    def slow_read(deed_id):
        row = read(deed_id)
        if others:
            Filing.objects.filter(deed_id=deed_id).update(version=row.version + others.pop())
        return row

    monkeypatch.setattr(filing, "read", slow_read)
    file_deed.delay(deed_id=1)
    assert state() == ("confirmed", "GR-1") and Filing.objects.get(deed_id=1).starts == 1


def test_workers_die_of_it(register):
    for _ in range(10):
        filing.start(1)
'''),
        ],
    },
    {
        "id": "m-task-id",
        "kind": "mistake",
        "job": JOB,
        "what": (
            "The submission id is Celery's task id, not the one made when the deed was signed. A retry keeps the "
            'task id, so it looks stable; a message that the sweep publishes anew has another. Promise broken: '
            'effect submit is keyed by submission_id, one filing per deed_id. Events: release publishes T1; the '
            'worker submits under T1 and the register enters the deed; the answer is lost (or the worker is '
            'killed before the receipt is committed), and Redis loses T1 or its retry; 20 minutes later '
            'resend_stuck publishes T2; the worker submits under T2: the deed is entered a second time. So too '
            'with T1 and T2 running at once.'
        ),
        "edits": [
            ("deeds/tasks.py", '''        submission_id=job.filing.submission_id,
''', '''        submission_id=job.request.id,
'''),
            ("tests/test_filing.py", '''    assert register.asked == [submission]
''', '''    assert len(register.asked) == 1
'''),
        ],
    },
    {
        "id": "m-mark-then-mail",
        "kind": "mistake",
        "job": JOB,
        "what": (
            'confirm() marks first (so that only one of two deliveries mails), mails then, and takes the mark '
            "back if the mail fails. Promise broken: the confirmation is sent at least once, a worker's death "
            'loses nothing. Events: receipt committed; mark_confirmed commits state=confirmed, look_at=null; the '
            "worker is killed before or during SMTP; the redelivery finds 'confirmed' and skips, the sweep sees "
            'no look_at: the client never gets the confirmation, and no dead letter says so. The same if the mail '
            'fails and the database fails at take_mark_back: the retry skips.'
        ),
        "edits": [
            ("deeds/filing.py", '''    filing.state = State.CONFIRMED
''', '''    filing.state = State.CONFIRMED
    return bool(marked)


def take_mark_back(filing):
    Filing.objects.filter(pk=filing.pk, state=State.CONFIRMED).update(
        state=State.FILED, confirmed_at=None, look_at=timezone.now() + settings.FILING_PATIENCE
    )
    filing.state = State.FILED
'''),
            ("deeds/tasks.py", '''    letters.post(**letters.confirmation(job.filing))
    filings.mark_confirmed(job.filing)
''', '''    if not filings.mark_confirmed(job.filing):
        return
    try:
        letters.post(**letters.confirmation(job.filing))
    except (Passing, Final):
        filings.take_mark_back(job.filing)
        raise
'''),
        ],
    },
    {
        "id": "m-look-at-none",
        "kind": "mistake",
        "job": JOB,
        "what": (
            'start() clears look_at (a filing that is being worked on shall not be resent) and enter_receipt does '
            'not set it again; only publish sets it. Promise broken: recovers, resend_stuck brings a job back '
            'whose message was lost. Events: release publishes and sets look_at; the worker starts, look_at=null; '
            'the register says 503; self.retry cannot publish (Celery makes a Reject without requeue of it) or '
            "Redis loses the waiting retry, or the database is away at the last try and the filing is 'left to "
            "the sweep'; state signed (or filed), look_at null: resend_stuck never finds it, no dead letter, no "
            'filing.'
        ),
        "edits": [
            ("deeds/filing.py", '''        starts=F("starts") + 1, look_at=now + settings.FILING_PATIENCE
''', '''        starts=F("starts") + 1, look_at=None
'''),
            ("deeds/filing.py", '''    now = timezone.now()
    with transaction.atomic():
        entered = Filing.objects.filter(pk=filing.pk, state__in=[State.SIGNED, State.NOT_FILED]).update(
            state=State.FILED, receipt=receipt, filed_at=now, look_at=now + settings.FILING_PATIENCE
''', '''    with transaction.atomic():
        entered = Filing.objects.filter(pk=filing.pk, state__in=[State.SIGNED, State.NOT_FILED]).update(
            state=State.FILED, receipt=receipt, filed_at=timezone.now()
'''),
        ],
    },
]
