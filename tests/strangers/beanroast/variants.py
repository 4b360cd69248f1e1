OK1_JOBS_TAIL = '''\
@house_job(run_id=ship_id, permanent=permanent)
def ship_order(order_number):
    """Buy the label of a packed order, then tell the customer its tracking code."""
    order = Order.objects.get(number=order_number)
    if order.status == Order.SHIPPED:
        return
    if order.status != Order.PACKED:
        raise NotPacked(f"{order_number} is {order.status}")

    steps = Journal(ship_id(order_number))
    label = steps.once(
        "label",
        ParcelWing().buy_label,
        reference=order.number,
        name=order.name,
        postcode=order.postcode,
        country=order.country,
        weight_g=order.weight_g,
    )
    order.tracking_code, order.label_url, order.status = label["tracking"], label["pdf"], Order.SHIPPED
    steps.once("mail", tracking_mail(order).send)
    order.save(update_fields=["tracking_code", "label_url", "status"])
    log.info("order.shipped", order=order.number, tracking=order.tracking_code)


'''

BASE_JOBS_TAIL = '''\
@house_job(run_id=ship_id, permanent=permanent)
def ship_order(order_number):
    """Buy the label of a packed order, then tell the customer its tracking code."""
    order = Order.objects.get(number=order_number)
    if order.status == Order.SHIPPED:
        return
    if order.status != Order.PACKED:
        raise NotPacked(f"{order_number} is {order.status}")

    if not order.tracking_code:
        label = ParcelWing().buy_label(
            reference=order.number,
            name=order.name,
            postcode=order.postcode,
            country=order.country,
            weight_g=order.weight_g,
        )
        order.tracking_code, order.label_url = label["tracking"], label["pdf"]
        order.save(update_fields=["tracking_code", "label_url"])
        log.info("order.labelled", order=order.number, tracking=order.tracking_code)

    tracking_mail(order).send()
    Order.objects.filter(pk=order.pk).update(status=Order.SHIPPED)
    log.info("order.shipped", order=order.number)


'''

OK1_JOURNAL = '''\
import structlog

from jobs.models import Step

log = structlog.get_logger("jobs.journal")


class Journal:
    """Remembers what the steps of a run have answered, so that none is taken again."""

    def __init__(self, run_id):
        self.run_id = run_id

    def once(self, what, call, /, **arguments):
        step = Step.objects.filter(run_id=self.run_id, name=what).first()
        if step is None:
            answer = call(**arguments)
            step, _ = Step.objects.get_or_create(run_id=self.run_id, name=what, defaults={"answer": answer})
            log.info("step.taken", step=what)
        else:
            log.info("step.taken_before", step=what)
        return step.answer
'''

OK1_MIGRATION = '''\
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [("jobs", "0001_initial")]

    operations = [
        migrations.CreateModel(
            name="Step",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("run_id", models.CharField(max_length=80)),
                ("name", models.CharField(max_length=40)),
                ("answer", models.JSONField(null=True)),
            ],
            options={"unique_together": {("run_id", "name")}},
        ),
    ]
'''

OK2_HOUSE = '''\
"""How this house runs its jobs.

What there is to do stands in the table of JobRuns; the message in Redis is a
nudge. A job that fails raises, always: RQ keeps it in its failed registry. One
that shall not be tried again has its retries taken away first.
"""

import functools
import inspect
import uuid

import structlog
from django.db import transaction
from django.utils import timezone
from redis.exceptions import RedisError
from rq import get_current_job

from beanroast.queues import MAX_ATTEMPTS, enqueue
from jobs.models import DeadLetter, JobRun

logger = structlog.get_logger("jobs")


class Malformed(Exception):
    """The message does not fit the function."""


class Exhausted(Exception):
    """All attempts were begun and none has ended."""


def submit(job, **message):
    """Note a run; the caller nudges it after its transaction."""
    defaults = {"function": job.path, "message": message}
    return JobRun.objects.get_or_create(id=job.run_id(message), defaults=defaults)[0]


def nudge(run):
    if run.state != JobRun.OPEN:
        return
    log = logger.bind(job=run.function, run=run.id)
    try:
        enqueue(run)
    except RedisError as error:  # the sweep will do it
        log.warning("job.not_enqueued", error=repr(error))
    else:
        log.info("job.enqueued")


def house_job(*, run_id, permanent):
    """run_id: makes the id from the message, or raises Malformed. permanent: judges an error."""

    def decorate(function):
        path = f"{function.__module__}.{function.__qualname__}"
        signature = inspect.signature(function)

        def checked_id(message):
            try:
                signature.bind(**message)
            except TypeError as error:
                raise Malformed(str(error)) from error
            return run_id(**message)

        @functools.wraps(function)
        def perform(*args, **kwargs):
            rq_job = get_current_job()
            name, attempt = f"malformed-{rq_job.id if rq_job else uuid.uuid4()}", None
            log = logger.bind(job=path, message=kwargs)
            try:
                if args:
                    raise Malformed("positional arguments")
                name = checked_id(kwargs)
                log = log.bind(run=name)
                attempt = begin(name, path, kwargs)
                if attempt is None:
                    log.info("job.over_already")
                    return
                log = log.bind(attempt=attempt)
                log.info("job.started")
                function(**kwargs)
            except Exception as error:
                last = attempt is not None and attempt >= MAX_ATTEMPTS
                if last or isinstance(error, (Malformed, Exhausted)) or permanent(error):
                    log.error("job.failed", reason=repr(error), exc_info=True)
                    bury(name, path, (args, kwargs), error)
                    if rq_job is not None:
                        rq_job.retries_left = 0
                else:
                    log.warning("job.retrying", reason=repr(error))
                raise
            JobRun.objects.filter(id=name).update(state=JobRun.DONE, touched_at=timezone.now())
            log.info("job.succeeded")

        perform.path = path
        perform.run_id = checked_id
        return perform

    return decorate


@transaction.atomic
def begin(name, path, message):
    """The number of this attempt; None where the run is over."""
    run, _ = JobRun.objects.select_for_update().get_or_create(
        id=name, defaults={"function": path, "message": message}
    )
    if run.state != JobRun.OPEN:
        return None
    if run.attempts >= MAX_ATTEMPTS:
        raise Exhausted(f"{run.attempts} attempts did not end")
    run.attempts += 1
    run.save(update_fields=["attempts", "touched_at"])
    return run.attempts


@transaction.atomic
def bury(name, path, message, error):
    run = JobRun.objects.filter(id=name).first()
    if run is not None and run.state != JobRun.OPEN:
        return
    JobRun.objects.filter(id=name).update(state=JobRun.FAILED, touched_at=timezone.now())
    DeadLetter.objects.get_or_create(
        run_id=name, defaults={"function": path, "message": repr(message), "reason": f"given up: {error!r}"}
    )
'''

OK2_MAIL = '''\
from django.core.mail import send_mail


def send_tracking(to, name, number, code):
    """Tell the customer. The relay does not know a mail again when it comes twice."""
    send_mail(
        f"Your coffee {number} is on its way",
        f"Hello {name},\\n\\nyour parcel has the tracking code {code}.\\n\\nBeanroast\\n",
        None,
        [to],
    )
'''

VARIANTS = [
    {
        "id": "ok-1",
        "kind": "correct",
        "job": "ship-order",
        "what": "A journal table remembers the answer of each step (label, mail); the order is written once, at the end",
        "edits": [
            ("orders/jobs.py", BASE_JOBS_TAIL, OK1_JOBS_TAIL),
            ("orders/jobs.py", "from jobs.house import Malformed, house_job\n", "from jobs.house import Malformed, house_job\nfrom jobs.journal import Journal\n"),
            ("jobs/journal.py", "", OK1_JOURNAL),
            ("jobs/migrations/0002_step.py", "", OK1_MIGRATION),
            (
                "jobs/models.py",
                "class DeadLetter(models.Model):",
                "class Step(models.Model):\n"
                '    """What an effect of a run has answered."""\n\n'
                "    run_id = models.CharField(max_length=80)\n"
                "    name = models.CharField(max_length=40)\n"
                "    answer = models.JSONField(null=True)\n\n"
                "    class Meta:\n"
                '        unique_together = [("run_id", "name")]\n\n\n'
                "class DeadLetter(models.Model):",
            ),
            (".skillrun/jobs/ship-order.yaml", "dedupe: {store: table jobs_jobrun}", "dedupe: {store: table jobs_step}"),
            (
                ".skillrun/jobs/ship-order.yaml",
                "    runs: select",
                "    steps: select run_id, name, answer from jobs_step order by 1, 2\n    runs: select",
            ),
        ],
    },
    {
        "id": "ok-2",
        "kind": "correct",
        "job": "ship-order",
        "what": "Every failure is raised to RQ (its failed registry), a permanent one with its retries taken away; "
        "bound loggers instead of contextvars; enqueued after the transaction block; the mail by a function of ours",
        "edits": [
            ("jobs/house.py", "", OK2_HOUSE),
            ("orders/mail.py", "", OK2_MAIL),
            ("orders/jobs.py", "from django.core.mail import EmailMessage\n", ""),
            ("orders/jobs.py", "from orders.carrier import ParcelWing\n", "from orders import mail\nfrom orders.carrier import ParcelWing\n"),
            ("orders/jobs.py", "    tracking_mail(order).send()\n", "    mail.send_tracking(order.email, order.name, order.number, order.tracking_code)\n"),
            (
                "orders/jobs.py",
                '''

def tracking_mail(order):
    return EmailMessage(
        subject=f"Your coffee {order.number} is on its way",
        body=f"Hello {order.name},\\n\\nyour parcel has the tracking code {order.tracking_code}.\\n\\nBeanroast\\n",
        to=[order.email],
        # the same for each attempt: mail programs show a second copy once
        headers={"Message-ID": f"<shipped-{order.number}@beanroast.example>"},
    )
''',
                "",
            ),
            ("orders/desk.py", "from jobs.house import submit\n", "from jobs.house import nudge, submit\n"),
            (
                "orders/desk.py",
                "        submit(ship_order, order_number=number)\n",
                "        run = submit(ship_order, order_number=number)\n    nudge(run)\n",
            ),
            (".skillrun/jobs/ship-order.yaml", "call: django.core.mail:EmailMessage.send", "call: orders.mail:send_tracking"),
            (
                ".skillrun/jobs/ship-order.yaml",
                "A second copy says the same and carries the same Message-ID; without",
                "A second copy says the same; without",
            ),
            (".skillrun/jobs/ship-order.yaml", "is\n    returns: 1\n", "is\n"),
        ],
    },
    {
        "id": "m-fresh-reference",
        "kind": "mistake",
        "job": "ship-order",
        "what": "The carrier's reference gets a random end, so that it is unique per request: a lost answer or a crash buys a second label",
        "edits": [
            ("orders/jobs.py", "            reference=order.number,\n", '            reference=f"{order.number}-{uuid.uuid4().hex[:6]}",\n'),
            ("orders/jobs.py", "import smtplib\n\n", "import smtplib\nimport uuid\n\n"),
        ],
    },
    {
        "id": "m-mail-by-the-way",
        "kind": "mistake",
        "job": "ship-order",
        "what": "A mail that fails is logged and forgotten, the order is shipped all the same: no second attempt, no dead letter",
        "edits": [
            (
                "orders/jobs.py",
                "    tracking_mail(order).send()\n",
                "    try:\n"
                "        tracking_mail(order).send()\n"
                "    except (smtplib.SMTPException, OSError) as error:\n"
                "        # the parcel goes out anyway\n"
                '        log.warning("order.mail_failed", order=order.number, error=repr(error))\n',
            )
        ],
    },
    {
        "id": "m-counts-failures",
        "kind": "mistake",
        "job": "ship-order",
        "what": "An attempt is counted when it has failed, not when it begins: one that kills its worker is never counted "
        "and is brought back by the sweep for ever, without a record",
        "edits": [
            (
                "jobs/house.py",
                "            JobRun.objects.filter(id=name).update(attempts=F(\"attempts\") + 1, touched_at=timezone.now())\n"
                "            run.refresh_from_db()\n"
                "            return run\n",
                "            JobRun.objects.filter(id=name).update(touched_at=timezone.now())\n"
                "            run.attempts += 1\n"
                "            return run\n",
            ),
            (
                "jobs/house.py",
                "                except Exception as error:\n                    if permanent(error):",
                "                except Exception as error:\n"
                "                    JobRun.objects.filter(id=name).update(attempts=F(\"attempts\") + 1)\n"
                "                    if permanent(error):",
            ),
        ],
    },
    {
        "id": "m-quiet",
        "kind": "mistake",
        "job": "ship-order",
        "what": "The log was too loud at night: failures and retries are said at debug, which the settings drop, "
        "so that an operator sees a start and then nothing",
        "edits": [
            ("jobs/house.py", 'log.error("job.failed", reason=repr(error), permanent=True)', 'log.debug("job.failed", reason=repr(error), permanent=True)'),
            ("jobs/house.py", 'log.error("job.failed", reason=repr(error), permanent=False)', 'log.debug("job.failed", reason=repr(error), permanent=False)'),
            ("jobs/house.py", 'log.warning("job.retrying", reason=repr(error))', 'log.debug("job.retrying", reason=repr(error))'),
        ],
    },
]
