import hashlib
import json
import logging
import time

from django.db import OperationalError
from django_tasks import task

from overdue import letters, printshop
from overdue.printshop import PrintshopAway

log = logging.getLogger("overdue.jobs")


class BadMessage(Exception):
    pass


@task(queue_name="letters", takes_context=True)
def send_letter(context, **message):
    job_id, key = context.task_result.id, key_of(message)
    try:
        return send(job_id, key, message)
    except OperationalError as exc:
        say(logging.WARNING, job_id, key, "?", "left-to-the-sweep", type(exc).__name__)
        raise


def send(job_id, key, message):
    try:
        letter = letters.begin(letter_of(message))
    except (BadMessage, letters.NoSuchLetter) as exc:
        return give_up(job_id, key, message, exc)
    if letter.status != letter.Status.QUEUED:
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
        return say(logging.INFO, job_id, key, tries, "nothing-to-do", reason_of(exc))
    say(logging.ERROR, job_id, key, tries, "dead", reason_of(exc))
    raise exc


def bury(key, message, reason, letter):
    """No sweep knows of a message without a letter, so a short trouble of the database is sat out."""
    for pause in (0.2, 1):
        try:
            return letters.bury(key, message, reason, letter)
        except OperationalError:
            time.sleep(pause)
    return letters.bury(key, message, reason, letter)


def letter_of(message):
    letter_id = message.get("letter_id")
    if set(message) == {"letter_id"} and type(letter_id) is int and 0 < letter_id < 2**63:
        return letter_id
    raise BadMessage("wants one letter_id")


def key_of(message):
    try:
        return str(letter_of(message))
    except BadMessage:
        return "bad-" + hashlib.sha256(json.dumps(message, sort_keys=True).encode()).hexdigest()[:20]


def reason_of(exc):
    return f"{type(exc).__name__}: {exc}"


def say(level, job_id, key, attempt, outcome, reason=None):
    line, values = "job=send-letter job_id=%s key=%s attempt=%s outcome=%s", [job_id, key, attempt, outcome]
    if reason:
        line, values = line + ' reason="%s"', [*values, reason]
    log.log(level, line, *values)
    return outcome
