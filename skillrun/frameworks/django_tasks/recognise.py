"""Are Django's tasks in use, and where: the setting TASKS, the tasks, worker starts."""

from __future__ import annotations

from skillrun.frameworks.known.entry import Known

ENTRY = Known(
    id="django-tasks",
    title="Django tasks",
    language="python",
    distributions=("django-tasks", "django-tasks-*"),
    modules=("django_tasks*", "django.tasks*"),
    words=(b"django_tasks", b"django.tasks", b"TASKS"),
    apps=("set TASKS",),
    tasks=("mark django.tasks.task", "mark django_tasks.task"),
    broker="django orm",
    starts=("db_worker",),
    objects=True,
    own="django_tasks/base.py",
)
