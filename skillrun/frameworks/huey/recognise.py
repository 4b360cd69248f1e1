"""Is Huey in use, and where: its objects, the modules of tasks, periodic tasks, consumer starts."""

from __future__ import annotations

from skillrun.frameworks.known.entry import Known

_MAKERS = ("task", "periodic_task", "context_task")
_DJANGO = ("huey.contrib.djhuey", "django_huey")

ENTRY = Known(
    id="huey",
    title="Huey",
    language="python",
    distributions=("huey", "django-huey", "django-huey-monitor", "bx-django-utils-huey"),
    modules=("huey", "huey.*", "django_huey", "django_huey.*"),
    words=(b"huey", b"Huey", b"HUEY", b"task("),
    worth=r"uey|HUEY|@[\w.]*task\(",
    # A setting of that name is Huey's where Django's integration is in use.
    apps=(
        "made huey.*Huey",
        *(f"set HUEY if anywhere {module}*" for module in _DJANGO),
        *(f"set DJANGO_HUEY if anywhere {module}*" for module in _DJANGO),
    ),
    clients=("call ~app.enqueue",),
    tasks=(
        *(f"mark ~app.{maker}" for maker in _MAKERS),
        *(f"wraps ~app.{maker}" for maker in _MAKERS),
        *(f"mark {module}.*task" for module in _DJANGO),
        *(f"wraps {module}.*task" for module in _DJANGO),
    ),
    schedules={
        "mark ~app.periodic_task": "huey",
        "wraps ~app.periodic_task": "huey",
        **{f"mark {module}.*periodic_task": "huey" for module in _DJANGO},
        **{f"wraps {module}.*periodic_task": "huey" for module in _DJANGO},
    },
    brokers={
        "made huey.*RedisHuey": "redis",
        "made huey.*RedisExpireHuey": "redis",
        "made huey.*PriorityRedis*Huey": "redis",
        "made huey.*SqliteHuey": "sqlite",
        "made huey.*PostgresHuey": "postgres",
        "made huey.*MemoryHuey": "memory",
        "made huey.*FileHuey": "filesystem",
        "made huey.*SqlHuey": "sql",
        "made huey.*Huey": "redis",
        r"text ['\"]huey\.\w*Sqlite\w*Huey": "sqlite",
        r"text ['\"]huey\.\w*Memory\w*Huey": "memory",
        r"text ['\"]huey\.\w*File\w*Huey": "filesystem",
        r"text ['\"]huey\.contrib\.sql_huey": "sql",
        r"text \bHUEY\b": "redis",
        "dep redis": "redis",
    },
    starts=(
        "huey_consumer",
        "huey_consumer.py",
        "huey.bin.huey_consumer",
        "run_huey",
        "djangohuey",
    ),
    start_files=("*huey*",),
    likely="*huey*",
    objects=True,
    own="huey/api.py",
)
