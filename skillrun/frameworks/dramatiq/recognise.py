"""Is Dramatiq in use, and where: its brokers, the modules of actors, schedulers, worker starts.

A broker alone is for others to use: what counts is an actor, or a worker that is started.
"""

from __future__ import annotations

from skillrun.frameworks.known.entry import Known

_BROKERS = ("dramatiq.*RedisBroker", "dramatiq.*RabbitmqBroker", "dramatiq_*.*Broker")

ENTRY = Known(
    id="dramatiq",
    title="Dramatiq",
    language="python",
    distributions=(
        *("dramatiq", "django-dramatiq", "flask-dramatiq", "flask-melodramatiq"),
        *("dramatiq-pg", "dramatiq-sqs"),
    ),
    modules=(
        *("dramatiq", "dramatiq.*", "django_dramatiq*", "flask_dramatiq*", "flask_melodramatiq*"),
        *("dramatiq_pg*", "dramatiq_sqs*"),
    ),
    words=(b"dramatiq", b"Dramatiq", b"DRAMATIQ", b"periodiq", b"apscheduler", b"actor"),
    worth=r"ramatiq|DRAMATIQ|periodiq|^[ \t]*@[\w.]*\bactor\b|\b(?:add_job|scheduled_job)\b",
    # The stub of the tests is the last that is taken for the app.
    apps=(
        *(f"made {broker}" for broker in _BROKERS),
        *(f"given {broker}" for broker in _BROKERS),
        "made flask_dramatiq.Dramatiq",
        "set DRAMATIQ_BROKER",
        "made dramatiq.*Broker",
        "given dramatiq.*Broker",
    ),
    clients=("call ~app.enqueue",),
    tasks=(
        "mark dramatiq.actor",
        "mark dramatiq.actor.actor",
        "mark *dramatiq*.Dramatiq().actor",
        "wraps dramatiq.actor",
        "wraps dramatiq.actor.actor",
        "base dramatiq.*GenericActor",
        "base dramatiq.GenericActor",
    ),
    schedules={
        "import periodiq*": "periodiq",
        "start *periodiq*": "periodiq",
        "import dramatiq_crontab*": "dramatiq-crontab",
        r"text \b(?:add_job|scheduled_job)\( and \.send\b": "apscheduler",
    },
    brokers={
        "made dramatiq.*RedisBroker": "redis",
        "given dramatiq.*RedisBroker": "redis",
        "made dramatiq.*RabbitmqBroker": "rabbitmq",
        "given dramatiq.*RabbitmqBroker": "rabbitmq",
        "made dramatiq_sqs*": "sqs",
        "made dramatiq_pg*": "postgres",
        r"text \bdramatiq\.brokers\.redis\b": "redis",
        r"text \bdramatiq\.brokers\.rabbitmq\b": "rabbitmq",
        "dep dramatiq[rabbitmq]": "rabbitmq",
        "dep dramatiq[redis]": "redis",
    },
    starts=("dramatiq", "dramatiq-gevent", "rundramatiq", "periodiq"),
    start_files=("*dramatiq*",),
    app_alone=False,
    aside=(b"DRAMATIQ_BROKER", b"Broker("),
    objects=True,
    own="dramatiq/__init__.py",
)
