"""A pass: Django Q2's ORM broker, its own retries, a hook that keeps what is given up, a job that is queued in atomic()."""

from run import Mutant, Variant

DRIVER = "django-q2"
TASKS, DESK, SETTINGS, MODELS = "passes/tasks.py", "passes/desk.py", "gym/settings.py", "passes/models.py"
SPEC = ".skillrun/jobs/issue-pass.yaml"
KEY = 'f"pass-{number}"'
CODE = f"        code = turnstile.issue(number, key={KEY})\n"
STORED = """    with transaction.atomic():
        issued = Pass.objects.filter(number=number, status="paid").update(status="issued", code=code)
        if issued:
            Lockers.objects.filter(room="north").update(free=F("free") - 1)
"""
SKIP = """        if sold.status == "issued":
            logger.info("pass %s: was issued before", number)
            return
"""
SAVED = """    sold.status, sold.code = "issued", code
    sold.save()
    Lockers.objects.filter(room="north").update(free=F("free") - 1)
"""
FIND = "        sold = Pass.objects.get(number=number)\n"
PERMANENT = "(turnstile.Refused, Pass.DoesNotExist)"
QUEUED = '    async_task("passes.tasks.issue_pass", number, hook="passes.tasks.ended")\n'
QUEUED_LATER = "    transaction.on_commit(partial(async_task, issue_pass, number=number, hook=ended))\n"
LAST = "task.attempt_count >= ATTEMPTS"
WARNED = (
    '        logger.warning("pass %s: attempt %s failed, will retry: %s", number, task.attempt_count, task.result)\n'
)
CLAUSE = f"    except {PERMANENT} as error:\n"
BURIED = '    FailedJob.objects.get_or_create(task="issue_pass", key=number, defaults={"reason": reason})\n'

MUTANTS = [
    Mutant("B01", "the key is another one at each attempt", (
        (TASKS, KEY, 'f"pass-{number}-{uuid.uuid4()}"'), (TASKS, "import logging\n", "import logging\nimport uuid\n"))),
    Mutant("B02", "the key holds the hour", (
        (TASKS, KEY, 'f"pass-{number}-{timezone.now():%H%M}"'),
        (TASKS, "from django_q.models", "from django.utils import timezone\nfrom django_q.models"))),
    Mutant("C01", "read, changed and saved outside of a transaction", ((TASKS, STORED, SAVED),)),
    Mutant("C02", "each delivery takes a locker", (
        (TASKS, "        if issued:\n            Lockers", "        Lockers"), (TASKS, SKIP, "")),
        source="https://github.com/wasp-lang/open-saas/issues/688"),
    Mutant("C03", "lockers are counted in Python", (
        (TASKS, 'Lockers.objects.filter(room="north").update(free=F("free") - 1)', "lockers.free -= 1\n            lockers.save()"),
        (TASKS, CODE, '        lockers = Lockers.objects.get(room="north")\n' + CODE))),
    Mutant("C04", "marked before the turnstile knows", (
        (TASKS, CODE, '        Pass.objects.filter(number=number).update(status="issued")\n' + CODE),
        (TASKS, 'status="paid").update(status="issued", code=code)', 'code="").update(code=code)'))),
    Mutant("C05", "the code is stored, the locker forgotten by a crash", (
        (TASKS, STORED, STORED.replace("    with transaction.atomic():\n", "").replace("        issued", "    issued")
         .replace("        if ", "    if ").replace("            Lockers", "        Lockers")),)),
    Mutant("D01", "max_attempts is left at its default", (
        (SETTINGS, '    "max_attempts": 4,\n', ""), (TASKS, 'settings.Q_CLUSTER["max_attempts"]', "4"),
        (TASKS, "from django.conf import settings\n", "")), quick=True,
        source="https://github.com/Koed00/django-q/issues/602"),
    Mutant("D02", "one attempt more", ((SETTINGS, '"max_attempts": 4', '"max_attempts": 5'),)),
    Mutant("D03", "a failure is acknowledged", ((SETTINGS, '    "max_attempts": 4,\n', '    "max_attempts": 4,\n    "ack_failures": True,\n'),)),
    Mutant("D04", "taken again while it may still run", ((SETTINGS, '"retry": 90', '"retry": 30'),),
           source="https://github.com/Koed00/django-q/issues/183"),
    Mutant("D05", "every error is swallowed", ((TASKS, CLAUSE, f"    except turnstile.Unreachable:\n        return\n{CLAUSE}"),)),
    Mutant("D06", "a refusal is tried again", ((TASKS, PERMANENT, "Pass.DoesNotExist"),)),
    Mutant("D07", "a pass that nobody sold is waited for", ((TASKS, PERMANENT, "turnstile.Refused"),)),
    Mutant("D08", "the result goes to the cache, where nobody counts", ((DESK, 'hook="passes.tasks.ended"', 'hook="passes.tasks.ended", cached=60'),)),
    Mutant("D09", "a refusal ends the worker's process", (
        (TASKS, "        bury(number, repr(error))\n        return\n", "        sys.exit(1)\n"),
        (TASKS, "import logging\n", "import logging\nimport sys\n"))),
    Mutant("D10", "what it returns cannot be pickled", (
        (TASKS, SKIP, SKIP.replace("return", "return (part for part in number)")),
        (TASKS, '    logger.info("pass %s: issued", number)\n', '    logger.info("pass %s: issued", number)\n    return (part for part in code)\n'),)),
    Mutant("D11", "a failure of this job is acknowledged", ((DESK, 'hook="passes.tasks.ended"', 'hook="passes.tasks.ended", ack_failure=True'),)),
    Mutant("E01", "kept at each failed attempt", ((TASKS, LAST, "task.attempt_count >= 1"),)),
    Mutant("E02", "the last attempt is never the last", ((TASKS, LAST, "task.attempt_count > ATTEMPTS"),)),
    Mutant("E03", "nothing is called at its end", ((DESK, ', hook="passes.tasks.ended"', ""),)),
    Mutant("E04", "a crash while it is given up leaves two rows", (
        (TASKS, BURIED, '    FailedJob.objects.create(task="issue_pass", key=number, reason=reason)\n'),
        (MODELS, '\n    class Meta:\n        constraints = [models.UniqueConstraint(fields=["task", "key"], name="one_row_a_job")]\n', ""))),
    Mutant("E05", "queued for a new pass only, after its commit", (
        (DESK, "@transaction.atomic\n", ""), (DESK, "    Pass.objects", "    _, new = Pass.objects"),
        (DESK, QUEUED, "    if new:\n    " + QUEUED)), quick=True),
    Mutant("E06", "a queue that is away is nobody's business", (
        (DESK, QUEUED, f"    transaction.on_commit(lambda: {QUEUED.strip()}, robust=True)\n"),)),
    Mutant("E07", "a refusal is kept nowhere", ((TASKS, "        bury(number, repr(error))\n", ""),)),
    Mutant("E08", "the hook fails", ((TASKS, "    number = str(task.args[0] if", "    number = str(task.args[1] if"),)),
    Mutant("E09", "the hook is a function: the Task keeps its text, which is no path at the second attempt", (
        (DESK, QUEUED, QUEUED_LATER), (DESK, "from django.db", "from functools import partial\n\nfrom django.db"),
        (DESK, "from passes.models import Pass\n", "from passes.models import Pass\nfrom passes.tasks import ended, issue_pass\n"))),
    Mutant("F01", "no word of success", ((TASKS, '    logger.info("pass %s: issued", number)\n', ""),)),
    Mutant("F02", "no word of a retry", ((TASKS, WARNED, "        pass\n"),)),
    Mutant("F03", "every failure says that it will be retried", (
        (TASKS, 'logger.error("pass %s: failed for good at attempt %s: %s"', 'logger.warning("pass %s: attempt %s failed, will retry: %s"'),)),
    Mutant("F04", "success is said first", (
        (TASKS, '    logger.info("pass %s: issued", number)\n', ""),
        (TASKS, CODE, '        logger.info("pass %s: issued", number)\n' + CODE))),
    Mutant("G01", "whatever is asked for is made", ((TASKS, "Pass.objects.get(number=number)", "Pass.objects.get_or_create(number=number)[0]"),)),
]  # fmt: skip

AGAIN = """    except (turnstile.Unreachable, TimeoutError) as error:
        if attempt >= ATTEMPTS:
            logger.error("pass %s: failed for good at attempt %s: %r", number, attempt, error)
            raise
        logger.warning("pass %s: attempt %s failed, will retry: %r", number, attempt, error)
        wait = timedelta(seconds=min(4 * 2 ** (attempt - 1), 120))
        schedule("passes.tasks.issue_pass", number, attempt + 1, next_run=timezone.now() + wait)
        return
"""
HOOK = '''def ended(task: Task) -> None:
    """Django Q2 calls it at the end of each attempt."""
    if task.success:
        return
'''
WHOLE_HOOK = (
    HOOK
    + f"""    number = str(task.args[0] if task.args else task.kwargs.get("number", ""))
    if {LAST}:
        logger.error("pass %s: failed for good at attempt %s: %s", number, task.attempt_count, task.result)
        bury(number, task.result)
    else:
{WARNED}
"""
)
RETRY = "  max_attempts: 4\n  backoff: {kind: fixed, base: 90s}\n"

VARIANTS = [
    Variant("row-lock", "the row is locked while the code is made", quick=True, edits=(
        (TASKS, f"    try:\n{FIND}{SKIP}{CODE}", f"""    try:
        with transaction.atomic():
            sold = Pass.objects.select_for_update().get(number=number)
            if sold.status == "issued":
                logger.info("pass %s: was issued before", number)
                return
            sold.code, sold.status = turnstile.issue(number, key={KEY}), "issued"
            sold.save()
            Lockers.objects.filter(room="north").update(free=F("free") - 1)
"""), (TASKS, STORED, ""))),
    Variant("on-commit", "the function itself, queued after the commit", edits=(
        (DESK, QUEUED, QUEUED_LATER.replace("ended)", '"passes.tasks.ended")')),
        (DESK, "from django.db", "from functools import partial\n\nfrom django.db"),
        (DESK, "from passes.models import Pass\n", "from passes.models import Pass\nfrom passes.tasks import issue_pass\n"))),
    Variant("options", "a group, a name and a dictionary of options", edits=(
        (DESK, QUEUED, '    options = {"hook": "passes.tasks.ended", "group": "passes", "task_name": f"pass {number}", "timeout": 45}\n'
                       '    async_task("passes.tasks.issue_pass", number, q_options=options)\n'),)),
    Variant("own-waits", "it schedules itself, at growing waits; a failed Task is the dead letter", edits=(
        (SETTINGS, '    "max_attempts": 4,\n', '    "ack_failures": True,\n'),
        (TASKS, 'ATTEMPTS = settings.Q_CLUSTER["max_attempts"]', "ATTEMPTS = 4"),
        (TASKS, "from django.conf import settings\n", ""),
        (TASKS, "import logging\n", "import logging\nfrom datetime import timedelta\n"),
        (TASKS, "from django_q.models import Task\n", "from django.utils import timezone\nfrom django_q.tasks import schedule\n"),
        (TASKS, 'def issue_pass(number: str = "")', 'def issue_pass(number: str = "", attempt: int = 1)'),
        (TASKS, CLAUSE, AGAIN + CLAUSE), (TASKS, WHOLE_HOOK, ""),
        (TASKS, "        bury(number, repr(error))\n        return\n", "        raise\n"),
        (TASKS, '\n\ndef bury(number: str, reason: str) -> None:\n    """Keeps what was given up, once."""\n' + BURIED, "\n"),
        (TASKS, "import FailedJob, Lockers", "import Lockers"),
        (DESK, ', hook="passes.tasks.ended"', ""),
        (SPEC, RETRY, "  max_attempts: 4\n  backoff: {kind: exponential, base: 4s, factor: 2, cap: 2m, jitter: false}\n"),
        (SPEC, "{kind: table, where: passes_failedjob}", "{kind: framework}"),
        (SPEC, "  dead_letters: select count(*) from passes_failedjob\n", ""))),
    Variant("failed-tasks", "the failed Tasks are the dead letters, also of what cannot be issued; one attempt is all", edits=(
        (SETTINGS, '    "max_attempts": 4,\n', '    "max_attempts": 1,\n'),
        (TASKS, "        bury(number, repr(error))\n        return\n", "        raise\n"),
        (TASKS, "        bury(number, task.result)\n", ""),
        (SPEC, RETRY, "  kind: none\n  reason: a person looks at each of them\n"),
        (SPEC, "{kind: table, where: passes_failedjob}", "{kind: framework}"),
        (SPEC, "  dead_letters: select count(*) from passes_failedjob\n", ""))),
    Variant("redis", "Redis pops a job: it is tried once, and queued after the commit", edits=(
        (SETTINGS, '"orm": "default"', '"redis": {"host": "localhost"}'),
        (SETTINGS, '"max_attempts": 4', '"max_attempts": 1'),
        (DESK, QUEUED, f"    transaction.on_commit(lambda: {QUEUED.strip()})\n"),
        (SPEC, RETRY, "  kind: none\n  reason: the desk sells it again\n"))),
]  # fmt: skip
