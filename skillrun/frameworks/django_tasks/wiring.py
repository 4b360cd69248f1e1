"""Who enqueues a task: `enqueue` and `aenqueue`, also through `using`, `partial` and `on_commit`;
and what starts that.

Django has no scheduler: what starts the function that enqueues, a crontab line or a loop, is the
schedule.
"""

from __future__ import annotations

from collections.abc import Iterator

from skillrun.frameworks.common.callables.callers import reach_of_places
from skillrun.frameworks.common.callables.wiring import starting
from skillrun.frameworks.common.reading import in_tests
from skillrun.frameworks.django_tasks.tasks import Task, find_sites, is_own, read_task
from skillrun.frameworks.interface import Send
from skillrun.repo.places import is_aside
from skillrun.repo.python import Definition, Project


def find_sends(project: Project, handler: Definition) -> tuple[Send, ...]:
    """Every place that enqueues or schedules the handler, in order of path and line; its own
    retries left out.
    """
    task = read_task(project, handler)
    found: dict[tuple[str, int, str], Send] = {}
    for wiring in (*_enqueued(project, task), *_started(project, task)):
        found.setdefault((wiring.place.path, wiring.place.line, wiring.kind), wiring)
    return tuple(found[key] for key in sorted(found))


def _enqueued(project: Project, task: Task) -> Iterator[Send]:
    for site in find_sites(project, task, tests=True):
        if not is_own(project, task, site):
            yield Send("enqueue", site.place, site.how, in_tests(site.module.path))


def _started(project: Project, task: Task) -> Iterator[Send]:
    """What starts by the clock the functions and scripts that enqueue."""
    sites = [site for site in find_sites(project, task) if not is_own(project, task, site)]
    places = [(site.module, site.node) for site in sites if not is_aside(site.module.path)]
    yield from (
        one for one in starting(project, reach_of_places(project, places)) if one.kind == "schedule"
    )
