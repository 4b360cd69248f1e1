"""Is RQ in use, and where: its queues, the modules of functions that are decorated or enqueued,
schedulers, worker starts.
"""

from __future__ import annotations

from skillrun.frameworks.known.entry import Known

ENTRY = Known(
    id="rq",
    title="RQ",
    language="python",
    distributions=("rq", "django-rq", "flask-rq", "flask-rq2", "rq-scheduler"),
    modules=(
        *("rq", "rq.*", "django_rq", "django_rq.*", "rq_scheduler", "rq_scheduler.*"),
        *("flask_rq", "flask_rq.*", "flask_rq2", "flask_rq2.*"),
    ),
    words=(b"rq", b"RQ_QUEUES", b".enqueue"),
    worth=(
        r"^[ \t]*(?:from|import)[ \t][^\n]*\brq(?:_scheduler)?\b|(?:django|flask)_rq|@\w*rq\w*\.job\b"
        r"|\bRQ_QUEUES\b|\.enqueue(?:_call|_at|_in)?\("
    ),
    apps=(
        "made flask_rq*.RQ",
        "set RQ_QUEUES",
        "made rq.Queue",
        "made rq.queue.Queue",
        "made django_rq.get_queue",
        "made django_rq.queues.get_queue",
        "made django_rq.queues.DjangoRQ",
        "made flask_rq.get_queue",
    ),
    places=("base rq.Queue", "base rq.queue.Queue", "base django_rq.queues.DjangoRQ"),
    tasks=(
        "mark rq.decorators.job",
        "mark django_rq.job",
        "mark django_rq.decorators.job",
        "mark flask_rq.job",
        "mark flask_rq*.RQ().job",
        "mark ~app.job",
    ),
    hands={
        "call rq.*Queue().enqueue*": 0,
        "call ~app.enqueue": 0,
        "call ~app.enqueue_call": 0,
        "call ~app.prepare_data": 0,
        "call ~app.enqueue_at": 1,
        "call ~app.enqueue_in": 1,
        "call django_rq.enqueue": 0,
        "call django_rq.get_queue().enqueue*": 0,
        "call :*.enqueue if library": 0,
        "call :*.enqueue_call if library": 0,
        "call :*.enqueue_at if library": 1,
        "call :*.enqueue_in if library": 1,
        "call rq.cron.register": 0,
        "call rq.*CronScheduler().register": 0,
    },
    schedules={
        "start rq cron*": "rq cron",
        "call rq.cron.register": "rq cron",
        "call rq.*CronScheduler().register": "rq cron",
        "start rqscheduler*": "rq-scheduler",
        "start *manage.py rqscheduler*": "rq-scheduler",
        "import rq_scheduler*": "rq-scheduler",
        "import django_rq.get_scheduler": "rq-scheduler",
        "call django_rq.get_scheduler": "rq-scheduler",
    },
    broker="redis",
    starts=(
        *("rq worker", "rq worker-pool", "rqworker", "rqworker-pool"),
        *("rq cron", "rqscheduler"),
    ),
    start_files=("*rq*",),
    likely="rq",
    objects=True,
    factories=False,
    own="rq/__init__.py",
)
