"""A notice of a renewal: a row in the transaction that it belongs to, and a handler that enqueues its own retries."""

from run import Mutant, Variant

DRIVER = "django-tasks"
TASKS, DESK, SETTINGS, MODELS = "magazine/tasks.py", "magazine/desk.py", "press/settings.py", "magazine/models.py"
SPEC = ".skillrun/jobs/send-notice.yaml"
KEY = 'f"renewal-{number}"'
MAIL = f"    mail = mailer.send(number, key={KEY})\n"
MARKED = '        marked = Renewal.objects.filter(number=number, notice="").update(notice=mail)\n'
COUNT = 'Month.objects.filter(name="May").update(sent=F("sent") + 1)\n'
STORED = f"    with transaction.atomic():\n{MARKED}        if marked:\n            {COUNT}"
GET = "    renewal = Renewal.objects.get(number=number)\n"
SKIP = """    if renewal.notice:
        logger.info("renewal %s: notice was sent before", number)
        return
"""
DONE = '    logger.info("renewal %s: notice sent", number)\n'
WAIT = "        wait = timedelta(seconds=min(30 * 2 ** (attempt - 1), 300))\n"
AGAIN = "        send_notice.using(run_after=timezone.now() + wait).enqueue(number, attempt=attempt + 1)\n"
WARN = '        logger.warning("renewal %s: notice is tried again in %s after %r", number, wait, error)\n'
LAST = """        if attempt >= ATTEMPTS:
            give_up(number, error)
            raise
"""
TRANSIENT = "(mailer.MailerDown, TimeoutError)"
PERMANENT = "(mailer.Refused, Renewal.DoesNotExist)"
ENDS = f"    except {PERMANENT} as error:\n        give_up(number, error)\n        raise\n"
KEPT = '    FailedNotice.objects.get_or_create(number=number, defaults={"reason": repr(error)})\n'
TOLD = '    logger.error("renewal %s: notice given up: %r", number, error)\n'
STORES = "    Renewal.objects.get_or_create(number=number)\n"
ENQUEUE = "    send_notice.enqueue(number)\n"
HEAD = "@task()\ndef send_notice(number: str, attempt: int = 1) -> None:\n"
FRAMEWORK = (
    (SPEC, "dead_letter: {kind: table, where: magazine_failednotice}", "dead_letter: {kind: framework}"),
    (SPEC, "  dead_letters: select count(*) from magazine_failednotice\n", ""),
    (TASKS, KEPT, ""),
    (TASKS, "import FailedNotice, Month", "import Month"),
)


def _importing(name: str) -> tuple[str, str, str]:
    return (TASKS, "import logging\n", f"import logging\nimport {name}\n")


def _key(id_: str, what: str, key: str, *more: tuple[str, str, str], **options: object) -> Mutant:
    return Mutant(id_, what, ((TASKS, f"key={KEY}", f"key={key}"), *more), **options)  # type: ignore[arg-type]


TOLD_ATTEMPT = (
    (TASKS, "def notify(number: str) -> None:", "def notify(number: str, attempt: int) -> None:"),
    (TASKS, "        notify(number)\n", "        notify(number, attempt)\n"),
)

MUTANTS = [
    Mutant("A01", "a claim that only the living give back", ((TASKS, MAIL + STORED, f"""    if not Renewal.objects.filter(number=number, notice="").update(notice="sending"):
        logger.info("renewal %s: notice was sent before", number)
        return
    try:
        mail = mailer.send(number, key={KEY})
    except Exception:
        Renewal.objects.filter(number=number).update(notice="")
        raise
    with transaction.atomic():
        Renewal.objects.filter(number=number).update(notice=mail)
        {COUNT}"""),)),
    _key("B01", "the key counts the attempts", 'f"renewal-{number}-{attempt}"', *TOLD_ATTEMPT, quick=True),
    _key("B02", "the key is random", "str(uuid.uuid4())", _importing("uuid")),
    _key("B03", "one key for all", '"renewal"'),
    _key("B04", "the key has the day in it", 'f"renewal-{number}-{timezone.now().date()}"'),
    _key("B05", "the key is the id of the task's row, and each retry has a row of its own", 'f"renewal-{result}"', (
        TASKS, "def notify(number: str) -> None:", "def notify(number: str, result: str) -> None:"),
        (TASKS, HEAD, HEAD.replace("@task()", "@task(takes_context=True)").replace("(number: str", "(context, number: str")),
        (TASKS, "        notify(number)\n", "        notify(number, context.task_result.id)\n")),
    Mutant("C01", "marked before the mailer knows", ((TASKS, MAIL + STORED,
        STORED.replace("notice=mail", 'notice="sent"') + MAIL + "    Renewal.objects.filter(number=number).update(notice=mail)\n"),)),
    Mutant("C02", "read, changed and saved outside of a transaction", ((TASKS, STORED, f"""    renewal.notice = mail
    renewal.save()
    {COUNT}"""),)),
    Mutant("C03", "each delivery counts one", ((TASKS, "        if marked:\n            Month", "        Month"), (TASKS, SKIP, "")),
           source="https://github.com/wasp-lang/open-saas/issues/688"),
    Mutant("C04", "the month is counted in Python", (
        (TASKS, COUNT, "month.sent += 1\n            month.save()\n"), (TASKS, MAIL, '    month = Month.objects.get(name="May")\n' + MAIL))),
    Mutant("C05", "the mark is stored, the count forgotten by a crash", (
        (TASKS, STORED, f"{MARKED[4:]}    if marked:\n        {COUNT}"),), quick=True),
    Mutant("D01", "every error is tried again, as it is with other libraries", (
        (TASKS, f"except {TRANSIENT}", "except Exception"), (TASKS, ENDS, ""))),
    Mutant("D02", "a renewal that is not there is waited for", (
        (TASKS, TRANSIENT, "(mailer.MailerDown, TimeoutError, Renewal.DoesNotExist)"), (TASKS, PERMANENT, "mailer.Refused"))),
    Mutant("D03", "no wait", ((TASKS, "send_notice.using(run_after=timezone.now() + wait).enqueue", "send_notice.enqueue"),)),
    Mutant("D04", "the same wait each time", ((TASKS, "min(30 * 2 ** (attempt - 1), 300)", "30"),)),
    Mutant("D05", "minutes for seconds", ((TASKS, "timedelta(seconds=", "timedelta(minutes="),)),
    Mutant("D06", "one attempt more", ((TASKS, "attempt >= ATTEMPTS", "attempt > ATTEMPTS"),)),
    Mutant("D07", "each retry is the first one again", ((TASKS, "enqueue(number, attempt=attempt + 1)", "enqueue(number)"),)),
    Mutant("D08", "raised, in the belief that somebody tries again", ((TASKS, LAST + WAIT + WARN + AGAIN, "        give_up(number, error)\n        raise\n"),),
           quick=True),
    Mutant("D09", "a timeout is in no list", ((TASKS, f"except {TRANSIENT}", "except mailer.MailerDown"),)),
    Mutant("D10", "enqueued again and raised: each attempt is a failed row", ((TASKS, AGAIN, AGAIN + "        raise\n"), *FRAMEWORK)),
    Mutant("D11", "the attempt that the context knows is always the first", (
        (TASKS, HEAD, HEAD.replace("@task()", "@task(takes_context=True)").replace("(number: str, attempt: int = 1)", "(context, number: str)")),
        (TASKS, '    logger.info("renewal %s: notice starts', '    attempt = context.attempt\n    logger.info("renewal %s: notice starts'),
        (TASKS, "enqueue(number, attempt=attempt + 1)", "enqueue(number)"))),
    Mutant("E01", "enqueued before the renewal is stored", (
        (DESK, "@transaction.atomic\n", ""), (DESK, STORES + ENQUEUE, ENQUEUE + STORES)), source="https://github.com/saleor/saleor/issues/5457"),
    Mutant("E02", "enqueued for a new renewal only, after its commit", (
        (DESK, "@transaction.atomic\n", ""), (DESK, STORES + ENQUEUE, STORES.replace("    R", "    _, new = R") + f"    if new:\n    {ENQUEUE}"))),
    Mutant("E03", "a broken enqueue is swallowed", (
        (DESK, ENQUEUE, "    transaction.on_commit(lambda: send_notice.enqueue(number), robust=True)\n"),)),
    Mutant("E04", "the task is one transaction: its error undoes the record of it", ((TASKS, HEAD, HEAD.replace("@task()\n", "@task()\n@transaction.atomic\n")),),
           quick=True),
    Mutant("E05", "the retry is enqueued in a transaction that its error undoes", (
        (TASKS, AGAIN, "        with transaction.atomic():\n    " + AGAIN + "            raise\n"),)),
    Mutant("E06", "no record after the last attempt", ((TASKS, LAST, LAST.replace("            give_up(number, error)\n", "")),)),
    Mutant("E07", "a record at the first error", ((TASKS, LAST, "        give_up(number, error)\n" + LAST.replace("            give_up(number, error)\n", "")),)),
    Mutant("E08", "what the mailer refused is forgotten", ((TASKS, ENDS, ENDS.replace("        give_up(number, error)\n", "")),)),
    Mutant("F01", "an error is a state of the renewal", (
        (TASKS, MAIL, f"    try:\n    {MAIL}    except Exception as error:\n        logger.error(\"renewal %s: no mail: %r\", number, error)\n        return\n"),)),
    Mutant("F02", "no word of success", ((TASKS, DONE, ""),)),
    Mutant("F03", "the log does not say why", ((TASKS, ' after %r", number, wait, error', '", number, wait'),)),
    Mutant("F04", "success is logged before it is one", ((TASKS, MAIL + STORED + DONE, DONE + MAIL + STORED),)),
    Mutant("F05", "what was given up is not logged", ((TASKS, TOLD, ""), (TASKS, ENDS, ENDS.replace("        raise\n", "")),
        (TASKS, LAST, LAST.replace("            raise\n", "            return\n")))),
    Mutant("G01", "whatever is asked for is made", ((TASKS, "Renewal.objects.get(number=number)", "Renewal.objects.get_or_create(number=number)[0]"),)),
    Mutant("G02", "goes before others", ((TASKS, "@task()", "@task(priority=10)"),),
           keeps="a priority changes the order of different jobs, and nothing about one"),
]  # fmt: skip

VARIANTS = [
    Variant("row-lock", "the row is locked while the mail is sent", edits=(
        (TASKS, GET + SKIP + MAIL + STORED, f"""    with transaction.atomic():
        renewal = Renewal.objects.select_for_update().get(number=number)
        if renewal.notice:
            logger.info("renewal %s: notice was sent before", number)
            return
        renewal.notice = mailer.send(number, key={KEY})
        renewal.save()
        {COUNT}"""),)),
    Variant("on-commit", "enqueued after the commit, as for a broker elsewhere", edits=(
        (DESK, ENQUEUE, "    transaction.on_commit(partial(send_notice.enqueue, number=number))\n"),
        (DESK, "from django.db", "from functools import partial\n\nfrom django.db"))),
    Variant("once-each", "enqueued for a new renewal only: both are stored, or neither", quick=True, edits=(
        (DESK, STORES + ENQUEUE, STORES.replace("    R", "    _, new = R") + f"    if new:\n    {ENQUEUE}"),)),
    Variant("own-loop", "tried again within the task, which waits", edits=(
        (TASKS, HEAD, f'''def patiently(number: str) -> None:
    for wait in (30, 60, 120):
        try:
            notify(number)
            return
        except {TRANSIENT} as error:
            logger.warning("renewal %s: notice is tried again in %s s after %r", number, wait, error)
            time.sleep(wait)
    notify(number)


@task()
def send_notice(number: str) -> None:
'''),
        (TASKS, 'starts, attempt %s", number, attempt', 'starts", number'),
        (TASKS, "        notify(number)\n    except (mailer.MailerDown", "        patiently(number)\n    except (mailer.MailerDown"),
        (TASKS, LAST + WAIT + WARN + AGAIN + ENDS, "        give_up(number, error)\n        raise\n" + ENDS),
        (TASKS, "ATTEMPTS = 4\n", ""), (TASKS, "from datetime import timedelta\n", "import time\n"), (TASKS, "from django.utils import timezone\n", ""))),
    Variant("failed-row", "the failed row is the dead letter", edits=FRAMEWORK, quick=True),
    Variant("receiver", "a receiver of task_finished keeps what failed, also what the handler could not be called with", edits=(
        (SPEC, '    - {number: ""}\n', '    - {}\n    - {number: ""}\n'),
        (TASKS, KEPT, ""),
        (TASKS, HEAD, f'''@receiver(task_finished)
def keep_failed(sender: object, task_result: TaskResult, **more: object) -> None:
    """A row for each job that ends as FAILED."""
    if task_result.status == TaskResultStatus.FAILED:
        number = str([*task_result.args, task_result.kwargs.get("number")][0])
        FailedNotice.objects.get_or_create(number=number, defaults={{"reason": task_result.errors[0].traceback}})


{HEAD}'''),
        (TASKS, "from django.utils import timezone\nfrom django_tasks import task\n",
         "from django.dispatch import receiver\nfrom django.utils import timezone\n"
         "from django_tasks import TaskResult, TaskResultStatus, task\nfrom django_tasks.signals import task_finished\n"))),
    Variant("postgresql", "in PostgreSQL, where nobody waits for the whole database", edits=(
        (SPEC, 'env: {PRESS_DB: "{scratch}/press.db", ', 'env: {PRESS_DB: "{postgresql}", '),
        (SPEC, 'database: "{scratch}/press.db"', 'services: [postgresql]\n  database: "{postgresql}"'),
        (SETTINGS, "import os\n", "import os\nfrom urllib.parse import parse_qs, urlsplit\n"),
        (SETTINGS, "DATABASES = {", 'URL = urlsplit(os.environ.get("PRESS_DB", "postgresql://press@/press"))\nDATABASES = {'),
        (SETTINGS, """        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("PRESS_DB", "press.db"),
        "OPTIONS": {"transaction_mode": "IMMEDIATE", "timeout": 20},
""", """        "ENGINE": "django.db.backends.postgresql",
        "NAME": URL.path.strip("/"),
        "USER": URL.username,
        "HOST": parse_qs(URL.query).get("host", [URL.hostname])[0],
        "PORT": URL.port or "",
"""))),
    Variant("async", "a coroutine, which enqueues with aenqueue", edits=(
        (TASKS, HEAD, HEAD.replace("def send", "async def send")),
        (TASKS, "        notify(number)\n", "        await sync_to_async(notify)(number)\n"),
        (TASKS, LAST, LAST.replace("give_up(", "await sync_to_async(give_up)(")),
        (TASKS, ENDS, ENDS.replace("give_up(", "await sync_to_async(give_up)(")),
        (TASKS, AGAIN, AGAIN.replace("send_notice.using", "await send_notice.using").replace(".enqueue", ".aenqueue")),
        (TASKS, "from django.db import transaction\n", "from asgiref.sync import sync_to_async\nfrom django.db import transaction\n"))),
    Variant("decorated", "a decorator of its own enqueues again; the context's id is in the log", edits=(
        (TASKS, HEAD, f'''def again_on(*errors: type[Exception]) -> Any:
    """Tries again by a row of its own, with the number of the attempt in it."""

    def decorate(function: Any) -> Any:
        @functools.wraps(function)
        def inner(context: TaskContext, number: str, attempt: int = 1) -> None:
            logger.info("renewal %s: notice starts, attempt %s, task %s", number, attempt, context.task_result.id)
            try:
                function(number)
            except errors as error:
                if attempt >= ATTEMPTS:
                    give_up(number, error)
                    raise
                wait = timedelta(seconds=min(30 * 2 ** (attempt - 1), 300))
                logger.warning("renewal %s: notice is tried again in %s after %r", number, wait, error)
                later = context.task_result.task.using(run_after=timezone.now() + wait)
                later.enqueue(number, attempt=attempt + 1)

        inner.__signature__ = inspect.signature(lambda context, number, attempt=1: None)
        return inner

    return decorate


@task(takes_context=True)
@again_on(mailer.MailerDown, TimeoutError)
def send_notice(number: str) -> None:
'''),
        (TASKS, '    logger.info("renewal %s: notice starts, attempt %s", number, attempt)\n', ""),
        (TASKS, f"    except {TRANSIENT} as error:\n{LAST}{WAIT}{WARN}{AGAIN}{ENDS}", ENDS),
        (TASKS, "import logging\nfrom datetime import timedelta\n", "import functools\nimport inspect\nimport logging\nfrom datetime import timedelta\nfrom typing import Any\n"),
        (TASKS, "import task\n", "import TaskContext, task\n"))),
]  # fmt: skip
