"""Is Procrastinate in use, and where: its apps and blueprints, tasks, periodic tasks, worker
starts.
"""

from __future__ import annotations

from skillrun.frameworks.known.entry import Known

ENTRY = Known(
    id="procrastinate",
    title="Procrastinate",
    language="python",
    distributions=("procrastinate",),
    modules=("procrastinate*",),
    words=(b"procrastinate", b".task"),
    apps=("call procrastinate.App", "call procrastinate.app.App"),
    clients=("call ~app.configure_task",),
    tasks=(
        "mark ~app.task",
        "mark procrastinate.contrib.django.app.task",
        "mark procrastinate.Blueprint().task",
    ),
    sends=("call procrastinate.Blueprint", "call procrastinate.blueprints.Blueprint"),
    schedules={
        "mark ~app.periodic": "procrastinate periodic",
        "mark procrastinate.contrib.django.app.periodic": "procrastinate periodic",
    },
    broker="postgres",
    starts=("procrastinate worker",),
    objects=True,
    own="procrastinate/app.py",
)
