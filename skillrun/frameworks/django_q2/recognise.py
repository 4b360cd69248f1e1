"""Is Django Q2, or Django Q before it, in use, and where: Q_CLUSTER, the modules that queue or
schedule, qcluster.
"""

from __future__ import annotations

from skillrun.frameworks.known.entry import Known

ENTRY = Known(
    id="django-q2",
    title="Django Q2",
    language="python",
    distributions=("django-q2", "django-q"),
    modules=("django_q*",),
    words=(b"django_q", b"Q_CLUSTER"),
    apps=("set Q_CLUSTER",),
    tasks=(
        "call django_q.tasks.*",
        "call django_q.*.async_task",
        "call django_q.models.Schedule.*",
    ),
    schedules={
        "call django_q.tasks.schedule": "django-q2",
        "call django_q.models.Schedule.*": "django-q2",
        "import django_q.models.Schedule": "django-q2",
    },
    broker="django orm",
    starts=("qcluster",),
    objects=True,
    own="django_q/cluster.py",
)
