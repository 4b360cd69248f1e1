"""Versions of base/: edits are (path, old, new); an empty old writes the whole file."""

JOB = "send-letter"

NOT_BEFORE_LETTERS = '''"""A letter's life: draft, queued, sent or dead. `not_before` is both a lease and a wait."""
from datetime import timedelta

from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone

from overdue.models import DeadLetter, Fee, Letter, Reader

JOB = "send-letter"
MAX_TRIES = 5
LEASE = timedelta(minutes=3)
WAITS = [timedelta(minutes=m) for m in (2, 8, 32, 128)]
REFERENCE_GOOD_FOR = timedelta(days=60)
QUEUED = Letter.Status.QUEUED


class NoSuchLetter(Exception):
    pass


class TriesUsedUp(Exception):
    pass


class ReferenceTooOld(Exception):
    pass


class CannotRevive(Exception):
    pass


class Taken:
    """A letter that this delivery alone is at, until the lease has run out."""

    def __init__(self, letter):
        self.letter = letter
        self.tries = letter.tries

    def check(self):
        if self.tries > MAX_TRIES:
            raise TriesUsedUp(f"{MAX_TRIES} tries came to no end")
        if self.letter.released_at < timezone.now() - REFERENCE_GOOD_FOR:
            raise ReferenceTooOld("the print shop may have forgotten the reference")

    def sent(self):
        """False where another delivery has put the fee on the account."""
        letter = self.letter
        with transaction.atomic():
            Letter.objects.filter(pk=letter.pk).update(status=Letter.Status.SENT)
            DeadLetter.objects.filter(job=JOB, key=str(letter.pk)).delete()
            try:
                with transaction.atomic():
                    Fee.objects.create(letter=letter, cents=letter.fee_cents)
            except IntegrityError:
                return False
            Letter.objects.filter(pk=letter.pk).update(sent_at=timezone.now())
            Reader.objects.filter(pk=letter.loan.reader_id).update(owes_cents=F("owes_cents") + letter.fee_cents)
        return True

    def put_off(self):
        wait = WAITS[self.tries - 1]
        with transaction.atomic():
            at = timezone.now() + wait
            if not self._ours().update(not_before=at):
                return None
            _enqueue(self.letter.pk, run_after=at)
        return wait

    def dead(self):
        return self._ours().update(status=Letter.Status.DEAD)

    def _ours(self):
        return Letter.objects.filter(pk=self.letter.pk, status=QUEUED, tries=self.tries)


def take(letter_id):
    """None where it is not queued, or not due: somebody is at it, or it waits for its next try."""
    now = timezone.now()
    with transaction.atomic():
        taken = Letter.objects.filter(pk=letter_id, status=QUEUED, not_before__lte=now).update(
            tries=F("tries") + 1, not_before=now + LEASE
        )
        letter = Letter.objects.select_related("loan__reader").filter(pk=letter_id).first()
    if letter is None:
        raise NoSuchLetter(f"no letter {letter_id}")
    return Taken(letter) if taken else None


def release(letter_id):
    """The librarian's button: queue a drafted letter. Pressed again, it does nothing."""
    with transaction.atomic():
        now = timezone.now()
        drafted = Letter.objects.filter(pk=letter_id, status=Letter.Status.DRAFT)
        if drafted.update(status=QUEUED, released_at=now, not_before=now):
            _enqueue(letter_id)


def revive(letter_id):
    with transaction.atomic():
        now = timezone.now()
        dead = Letter.objects.filter(
            pk=letter_id, status=Letter.Status.DEAD, released_at__gt=now - REFERENCE_GOOD_FOR
        )
        if not dead.update(status=QUEUED, tries=0, not_before=now):
            raise CannotRevive(letter_id)
        DeadLetter.objects.filter(job=JOB, key=str(letter_id)).delete()
        _enqueue(letter_id)


def bury(key, message, reason, taken=None):
    """A dead letter; False where there is no call for one."""
    with transaction.atomic():
        if taken is not None and not taken.dead():
            return False
        _, created = DeadLetter.objects.get_or_create(
            job=JOB,
            key=key,
            defaults={
                "message": message,
                "reason": reason[:200],
                "tries": taken.tries if taken else 0,
                "died_at": timezone.now(),
            },
        )
    return created


def _enqueue(letter_id, run_after=None):
    from overdue.tasks import send_letter

    send_letter.using(run_after=run_after).enqueue(letter_id=letter_id)
'''

VARIANTS = [
    {
        "id": "ok-not-before", "kind": "correct", "job": JOB,
        "what": "A lease: a delivery takes a letter only when it is due and makes it not due for three minutes; a second delivery finds nothing to do, and the sweep looks for what has been due for long. "
                "The fee is a row with the letter as its primary key, inserted once; an object Taken has what a delivery may do; the log is JSON",
        "edits": [
            ("overdue/letters.py", "", NOT_BEFORE_LETTERS),
            ("overdue/models.py", "    stirred_at = models.DateTimeField(null=True)\n", "    not_before = models.DateTimeField(null=True)\n"),
            ("overdue/models.py", '''class DeadLetter(models.Model):
''', '''class Fee(models.Model):
    letter = models.OneToOneField(Letter, on_delete=models.PROTECT, primary_key=True)
    cents = models.PositiveIntegerField()


class DeadLetter(models.Model):
'''),
            ("overdue/migrations/0001_initial.py", "('stirred_at', models.DateTimeField(null=True)),", "('not_before', models.DateTimeField(null=True)),"),
            ("overdue/migrations/0002_fee.py", "", '''import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [("overdue", "0001_initial")]

    operations = [
        migrations.CreateModel(
            name="Fee",
            fields=[
                (
                    "letter",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        serialize=False,
                        to="overdue.letter",
                    ),
                ),
                ("cents", models.PositiveIntegerField()),
            ],
        ),
    ]
'''),
            ("overdue/tasks.py", '''        letter = letters.begin(letter_of(message))
''', '''        taken = letters.take(letter_of(message))
'''),
            ("overdue/tasks.py", '''    if letter.status != letter.Status.QUEUED:
        return say(logging.INFO, job_id, key, letter.tries, "nothing-to-do")
    say(logging.INFO, job_id, key, letter.tries, "started")
    try:
        letters.check(letter)
        answer = printshop.post_letter(letter)
        first = letters.finish(letter)
    except (PrintshopAway, OperationalError) as exc:
        if letter.tries >= letters.MAX_TRIES:
            return give_up(job_id, key, message, exc, letter)
        wait = letters.put_off(letter)
        if wait is None:
            return say(logging.INFO, job_id, key, letter.tries, "overtaken", reason_of(exc))
        seconds = int(wait.total_seconds())
        return say(logging.WARNING, job_id, key, letter.tries, f"retry-in-{seconds}s", reason_of(exc))
    except Exception as exc:
        return give_up(job_id, key, message, exc, letter)
    return say(logging.INFO, job_id, key, letter.tries, answer if first else "sent-before")


def give_up(job_id, key, message, exc, letter=None):
    tries = letter.tries if letter else 0
    if not bury(key, message, reason_of(exc), letter):
''', '''    if taken is None:
        return say(logging.INFO, job_id, key, 0, "nothing-to-do")
    say(logging.INFO, job_id, key, taken.tries, "started")
    try:
        taken.check()
        answer = printshop.post_letter(taken.letter)
        first = taken.sent()
    except (PrintshopAway, OperationalError) as exc:
        if taken.tries >= letters.MAX_TRIES:
            return give_up(job_id, key, message, exc, taken)
        wait = taken.put_off()
        if wait is None:
            return say(logging.INFO, job_id, key, taken.tries, "overtaken", reason_of(exc))
        seconds = int(wait.total_seconds())
        return say(logging.WARNING, job_id, key, taken.tries, f"retry-in-{seconds}s", reason_of(exc))
    except Exception as exc:
        return give_up(job_id, key, message, exc, taken)
    return say(logging.INFO, job_id, key, taken.tries, answer if first else "sent-before")


def give_up(job_id, key, message, exc, taken=None):
    tries = taken.tries if taken else 0
    if not bury(key, message, reason_of(exc), taken):
'''),
            ("overdue/tasks.py", '''def bury(key, message, reason, letter):
''', '''def bury(key, message, reason, taken):
'''),
            ("overdue/tasks.py", '''            return letters.bury(key, message, reason, letter)
        except''', '''            return letters.bury(key, message, reason, taken)
        except'''),
            ("overdue/tasks.py", '''            time.sleep(pause)
    return letters.bury(key, message, reason, letter)
''', '''            time.sleep(pause)
    return letters.bury(key, message, reason, taken)
'''),
            ("overdue/tasks.py", '''    line, values = "job=send-letter job_id=%s key=%s attempt=%s outcome=%s", [job_id, key, attempt, outcome]
    if reason:
        line, values = line + ' reason="%s"', [*values, reason]
    log.log(level, line, *values)
''', '''    entry = {"job": "send-letter", "job_id": str(job_id), "key": key, "attempt": attempt, "outcome": outcome}
    if reason:
        entry["reason"] = reason
    log.log(level, json.dumps(entry))
'''),
            ("overdue/sweep.py", "stirred_at__lt=timezone.now() - STILL_FOR)\n    queued", "not_before__lt=timezone.now() - STILL_FOR)\n    queued"),
            ("overdue/sweep.py", "stirred_at__lt=now - STILL_FOR)", "not_before__lt=now - STILL_FOR)"),
            ("overdue/sweep.py", "still.update(stirred_at=now)", "still.update(not_before=now)"),
            ("tests/conftest.py", '''        """What waits now, however long it should have waited."""
''', '''        """What waits now, however long it should have waited."""
        Letter.objects.filter(status="queued", not_before__gt=timezone.now()).update(not_before=timezone.now())
'''),
            ("tests/conftest.py", '''    from django_tasks_db.models import DBTaskResult

    def work():
''', '''    from django_tasks_db.models import DBTaskResult

    from overdue.models import Letter

    def work():
'''),
            ("tests/test_letters.py", "m.Letter.objects.update(stirred_at=", "m.Letter.objects.update(not_before="),
            ("tests/test_letters.py", '''    old = letters.begin(1)
    new = letters.begin(1)
    assert letters.put_off(old) is None and letters.bury("1", {}, "x", old) is False
    assert letters.finish(new) is True and letters.finish(old) is False
    assert state(m) == ("sent", 250)
''', '''    old = letters.take(1)
    assert letters.take(1) is None
    m.Letter.objects.update(not_before=timezone.now())
    new = letters.take(1)
    assert old.put_off() is None and letters.bury("1", {}, "x", old) is False
    assert new.sent() is True and old.sent() is False
    assert state(m) == ("sent", 250)
'''),
            (".skillrun/jobs/send-letter.yaml", "store: table overdue_letter (status)", "store: table overdue_fee"),
        ],
    },
    {
        "id": "m-conflict-later", "kind": "mistake", "job": JOB,
        "what": "Promise: 409 means success. 409 stands among the answers after which one asks again ('still being worked on'). The print shop takes the letter, the answer is lost (or the worker dies before finish); "
                "every further try is answered with 409, is put off, and after the fifth the letter is dead with a dead letter, no fee on the account, though it was posted",
        "edits": [
            ("overdue/printshop.py", "MAYBE_LATER = (408, 425, 429)", "MAYBE_LATER = (408, 409, 425, 429)"),
            ("overdue/printshop.py", '''    """"posted", or "known" where the print shop has had this reference before (it remembers for 90 days)."""
''', '''    """The print shop posts one letter per reference (it remembers them for 90 days)."""
'''),
            ("overdue/printshop.py", '''    if status == 409:
        return "known"
''', ""),
            ("tests/conftest.py", '''    """Answers like the real one: 409 for a reference that it has."""
''', '''    """Keeps one letter per reference."""
'''),
            ("tests/conftest.py", '''        status = 409 if json["customer_reference"] in self.letters else 202
        self.letters''', '''        status = 202
        self.letters'''),
        ],
    },
    {
        "id": "m-stale-letter", "kind": "mistake", "job": JOB,
        "what": "Promise: a second delivery does not do the work twice (state of one run). finish looks at the status of the instance that begin has read, before the call, and saves it. "
                "Two deliveries at once: both begin while the letter is queued, both ask the print shop (202, 409), the first finishes; the second still has 'queued' in its hands and finishes as well: the fee is on the account twice",
        "edits": [
            ("overdue/letters.py", '''    with transaction.atomic():
        first = (
            Letter.objects.filter(pk=letter.pk)
            .exclude(status=Letter.Status.SENT)
            .update(status=Letter.Status.SENT, sent_at=timezone.now())
        )
        if first:
            Reader.objects.filter(pk=letter.loan.reader_id).update(owes_cents=F("owes_cents") + letter.fee_cents)
            DeadLetter.objects.filter(job=JOB, key=str(letter.pk)).delete()
    return bool(first)
''', '''    with transaction.atomic():
        if letter.status == Letter.Status.SENT:
            return False
        letter.status = Letter.Status.SENT
        letter.sent_at = timezone.now()
        letter.save(update_fields=["status", "sent_at"])
        Reader.objects.filter(pk=letter.loan.reader_id).update(owes_cents=F("owes_cents") + letter.fee_cents)
        DeadLetter.objects.filter(job=JOB, key=str(letter.pk)).delete()
    return True
'''),
            ("tests/test_letters.py", '''    assert letters.finish(new) is True and letters.finish(old) is False
    assert state(m)''', '''    assert letters.finish(new) is True
    assert letters.finish(new) is False
    assert state(m)'''),
        ],
    },
    {
        "id": "m-count-outcomes", "kind": "mistake", "job": JOB,
        "what": "Promise: worker.deliveries (a letter that kills its worker comes to an end). A try is written down with its outcome, in put_off and bury, since restarts at each deploy had used up tries. "
                "A letter on which the worker dies (out of memory over a title) never reaches either: the sweep queues it again with tries = 0, the next worker dies, and so on without end and without a dead letter",
        "edits": [
            ("overdue/letters.py", '''    """The letter; this try is counted if it is queued."""
    with transaction.atomic():
        Letter.objects.filter(pk=letter_id, status=Letter.Status.QUEUED).update(
            tries=F("tries") + 1, stirred_at=timezone.now()
        )
''', '''    """The letter, with the number of this try; put_off and bury write it down."""
    with transaction.atomic():
        Letter.objects.filter(pk=letter_id, status=Letter.Status.QUEUED).update(stirred_at=timezone.now())
'''),
            ("overdue/letters.py", '''        raise NoSuchLetter(f"no letter {letter_id}")
    return letter
''', '''        raise NoSuchLetter(f"no letter {letter_id}")
    letter.tries += 1
    return letter
'''),
            ("overdue/letters.py", '''        ours = Letter.objects.filter(pk=letter.pk, status=Letter.Status.QUEUED, tries=letter.tries)
        if not ours.update(stirred_at=at):
''', '''        ours = Letter.objects.filter(pk=letter.pk, status=Letter.Status.QUEUED, tries=letter.tries - 1)
        if not ours.update(tries=letter.tries, stirred_at=at):
'''),
            ("overdue/letters.py", '''            ours = Letter.objects.filter(pk=letter.pk, status=Letter.Status.QUEUED, tries=letter.tries)
            if not ours.update(status=Letter.Status.DEAD):
''', '''            ours = Letter.objects.filter(pk=letter.pk, status=Letter.Status.QUEUED, tries=letter.tries - 1)
            if not ours.update(status=Letter.Status.DEAD, tries=letter.tries):
'''),
            ("tests/test_letters.py", '''    assert letters.put_off(old) is None and letters.bury("1", {}, "x", old) is False
    assert letters.finish(new) is True and letters.finish(old) is False
''', '''    assert letters.put_off(new) and letters.put_off(old) is None
    assert letters.bury("1", {}, "x", old) is False
    assert letters.finish(letters.begin(1)) is True and letters.finish(old) is False
'''),
        ],
    },
]
