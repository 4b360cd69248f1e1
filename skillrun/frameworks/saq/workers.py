"""The settings of SAQ's workers, the entries of a handler in them, and what they call around a job.

Sources: saq/worker.py (`Worker`, `import_settings`: a dictionary, or a function that returns one;
functions are known by `__qualname__`, or by the name that a pair gives), saq/job.py (`CronJob`).
"""

from __future__ import annotations

from skillrun.frameworks.common.listed import Manner
from skillrun.frameworks.common.listed_hooks import Hooks

MANNER = Manner(
    library="saq",
    makers=("saq.Worker", "saq.worker.Worker", "saq.types.SettingsDict"),
    positions=("queue", "functions"),
    wrappers=("saq.CronJob", "saq.job.CronJob"),
    wrapped="function",
    name_entry=lambda kind, function: function,
)


HOOKS = Hooks(
    MANNER, "before_process", "after_process", asked=frozenset(("exception", "status", "error"))
)
