"""Is Celery in use, and where: its app objects, task modules, broker, beat, worker starts."""

from __future__ import annotations

from skillrun.frameworks.known.entry import Known

_APPS = ("celery.Celery", "celery.app.Celery", "celery.app.base.Celery")
_DECORATORS = (
    *("celery.shared_task", "celery.app.shared_task", "celery.current_app.task"),
    *("celery.task", "celery.task.task", "celery.decorators.task"),
    *("celery.task.periodic_task", "celery.decorators.periodic_task"),
    *("~app.task", "~app.periodic_task"),
)

ENTRY = Known(
    id="celery",
    title="Celery",
    language="python",
    distributions=(
        *("celery", "django-celery", "django-celery-beat"),
        *("flask-celeryext", "flask-celery-helper"),
    ),
    modules=("celery", "celery.*"),
    words=(b"celery", b"Celery", b"CELERY", b".task", b"shared_task"),
    worth=(
        r"(?i:\bcelery\b|celery(?:_|app|beat|d_)|_celery)|shared_task|register_task"
        r"|^[ \t]*@[\w.]+\.task\b"
    ),
    # Of several the one in a file that is called after the library is the app.
    # A class of a dependency that is called after it is one too, where the library is declared.
    apps=(
        *(f"made {app} in *[cC]elery*" for app in _APPS),
        *(f"made {app}" for app in _APPS),
        "made *.*Celery in *[cC]elery*",
    ),
    sets_up=(
        *("call ~app.config_from_object", "call ~app.autodiscover_tasks"),
        *("call ~app.conf.update", "call ~app.set_default"),
    ),
    clients=("call ~app.send_task", "call ~app.signature"),
    tasks=(
        *(f"mark {decorator}" for decorator in _DECORATORS),
        *(f"wraps {decorator}" for decorator in _DECORATORS),
        *("call ~app.register_task", "call ~app.tasks.register"),
    ),
    schedules={
        "start *celery* beat*": "celery-beat",
        "start *celery* -B*": "celery-beat",
        "start *celery* --beat*": "celery-beat",
        "dep django-celery-beat": "celery-beat",
        "dep celery-redbeat": "celery-beat",
        r"text \b_?beat_schedule\b": "celery-beat",
        r"text \bCELERY_?BEAT_SCHEDULER?\b": "celery-beat",
        r"text \badd_periodic_task\b": "celery-beat",
        r"text \bdjango_celery_beat\b|\bredbeat\b": "celery-beat",
        r"text @[\w.]*\bperiodic_task\b": "celery-beat",
    },
    addresses="broker",
    brokers={
        **{f"dep {name}[redis]": "redis" for name in ("celery", "kombu")},
        **{f"dep {name}[sqs]": "sqs" for name in ("celery", "kombu")},
        **{f"dep {name}[librabbitmq]": "rabbitmq" for name in ("celery", "kombu")},
        **{f"dep {name}[kafka]": "kafka" for name in ("celery", "kombu")},
        "dep redis": "redis",
        "dep django-redis": "redis",
    },
    starts=("celery worker", "celery beat", "celery multi"),
    works=("worker", "multi"),
    start_files=("*celery*", "*beat*", ".env*", "*.env", "*env*sample*", "*env*example*"),
    app_options=("-A", "--app"),
    likely="*celery*",
    aside=(b"Celery(",),
    aside_tests=True,
    objects=True,
    own="celery/__init__.py",
)
