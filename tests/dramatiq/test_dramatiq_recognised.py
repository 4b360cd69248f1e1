"""Is Dramatiq in use, and where? In pairs: repositories in which it is found, and ones in which it
is ignored.
"""

from __future__ import annotations

from pathlib import Path

import helpers
import pytest

from skillrun.frameworks.dramatiq import FRAMEWORK
from skillrun.repo.survey import survey_tree
from skillrun.repo.tree import Tree
from skillrun.repo.uses import FrameworkUse

REQUIRED = {"requirements.txt": "dramatiq[redis]==2.2\n"}
BROKER = {
    "shop/broker.py": (
        "from dramatiq.brokers.redis import RedisBroker\nbroker = RedisBroker(url='redis://h')\n"
    )
}
TASKS = {"shop/tasks.py": "import dramatiq\n\n@dramatiq.actor\ndef send(): ...\n"}


def use_in(root: Path, files: dict[str, str]) -> FrameworkUse | None:
    return survey_tree(Tree(helpers.build_tree(root, files)), [FRAMEWORK.recogniser()]).use(
        "dramatiq"
    )


def found_in(root: Path, files: dict[str, str]) -> FrameworkUse:
    use = use_in(root, REQUIRED | files)
    assert use is not None
    return use


BROKERS = {
    "redis": (
        "from dramatiq.brokers.redis import RedisBroker\nbroker = RedisBroker()\n",
        "broker",
        "redis",
    ),
    "rabbitmq": (
        "import dramatiq.brokers.rabbitmq as r\nb: object = r.RabbitmqBroker(url=U)\n",
        "b",
        "rabbitmq",
    ),
    "sqs": (
        "from dramatiq_sqs import SQSBroker\nbroker = SQSBroker(namespace='x')\n",
        "broker",
        "sqs",
    ),
    "inside set_broker": (
        (
            "import dramatiq\nfrom dramatiq.brokers.redis import"
            " RedisBroker\ndramatiq.set_broker(RedisBroker())\n"
        ),
        "set_broker",
        "redis",
    ),
    "by environment": (
        (
            "from dramatiq.brokers.redis import RedisBroker\nfrom dramatiq.brokers.stub import"
            " StubBroker\nif TESTING:\n    broker = StubBroker()\nelse:\n    broker ="
            " RedisBroker()\n"
        ),
        "broker",
        "redis",
    ),
    "subclass": (
        (
            "from dramatiq.brokers.redis import RedisBroker\nclass Own(RedisBroker): ...\nbroker ="
            " Own()\n"
        ),
        "broker",
        "redis",
    ),
    "factory": (
        (
            "from dramatiq.brokers.redis import RedisBroker\ndef make():\n    return"
            " RedisBroker()\nbroker = make()\n"
        ),
        "broker",
        "redis",
    ),
    "made by a class": (
        (
            "from dramatiq.brokers.redis import RedisBroker\nclass Runner:\n"
            "    def __init__(self):\n        self.broker = RedisBroker()\n"
        ),
        "Runner",
        "redis",
    ),
    "django": (
        (
            "import os\nDRAMATIQ_BROKER = {'BROKER': 'dramatiq.brokers.redis.RedisBroker',"
            " 'OPTIONS': {}}\n"
        ),
        "DRAMATIQ_BROKER",
        "redis",
    ),
    "flask": ("from flask_dramatiq import Dramatiq\nqueue = Dramatiq()\n", "queue", None),
}


@pytest.mark.parametrize("name", BROKERS)
def test_finds_the_broker(tmp_path: Path, name: str) -> None:
    code, target, kind = BROKERS[name]
    use = found_in(
        tmp_path / "r", TASKS | {"requirements.txt": "dramatiq\n", "shop/setup_jobs.py": code}
    )
    assert (use.app, use.broker) == (f"shop/setup_jobs.py:{target}", kind)
    assert use.task_modules == ("shop/tasks.py",)
    assert {place.path for place in use.evidence} >= {
        "requirements.txt",
        "shop/tasks.py",
        "shop/setup_jobs.py",
    }


CRON = "import dramatiq\nfrom dramatiq_crontab import cron\n"
PERIODIQ = "import dramatiq\nfrom periodiq import cron\n"
ACTORS = {
    "plain": TASKS["shop/tasks.py"],
    "aliased": "from dramatiq import actor as job\n@job(max_retries=3)\ndef f(): ...\n",
    "called": "import dramatiq\ndef f(): ...\nf_job = dramatiq.actor(f, max_retries=3)\n",
    "an object": (
        "import dramatiq\nclass F:\n    def __call__(self): ...\nf = dramatiq.actor(F(), actor_name='f')\n"
    ),
    "curried": "import dramatiq\ndef f(): ...\nf_job = dramatiq.actor(max_retries=3)(f)\n",
    "partial": (
        "import dramatiq, functools\njob = functools.partial(dramatiq.actor)\n@job()\ndef f():"
        " ...\n"
    ),
    "generic": (
        "from dramatiq import GenericActor\nclass F(GenericActor):\n    def perform(self): ...\n"
    ),
    "through a module of ours": "from shop.queue import actor\n@actor\ndef f(): ...\n",
    "under a wrapper of ours": "from .queue import dramatiq_job\n@dramatiq_job(1)\ndef f(): ...\n",
    "of an extension": "from shop.queue import flask_queue\n@flask_queue.actor\ndef f(): ...\n",
    "under cron": CRON + "@cron('* * * * *')\n@dramatiq.actor\ndef f(): ...\n",
}
QUEUE = (
    "import dramatiq\nfrom dramatiq import actor\nfrom flask_dramatiq import Dramatiq\nflask_queue"
    " = Dramatiq()\ndef dramatiq_job(n):\n    return dramatiq.actor(max_retries=n)\n"
)


@pytest.mark.parametrize("name", ACTORS)
def test_finds_actors(tmp_path: Path, name: str) -> None:
    use = found_in(tmp_path / "r", BROKER | {"shop/queue.py": QUEUE, "shop/jobs.py": ACTORS[name]})
    assert use.task_modules == ("shop/jobs.py",)


NO_ACTORS = {
    "another library": "import pykka\n@pykka.actor\ndef f(): ...\n",
    "a module of ours": "from .dramatiq import actor\n@actor\ndef f(): ...\n",
    "in a comment": "import dramatiq\n# @dramatiq.actor\n",
    "in a string": "import dramatiq\nX = '''\n@dramatiq.actor\n'''\n",
    "only sent": "from shop.tasks import send\nsend.send()\n",
}


@pytest.mark.parametrize("name", NO_ACTORS)
def test_ignores_what_is_no_actor(tmp_path: Path, name: str) -> None:
    files = (
        BROKER | TASKS | {"shop/jobs.py": NO_ACTORS[name], "shop/dramatiq.py": "actor = print\n"}
    )
    assert found_in(tmp_path / "r", files).task_modules == ("shop/tasks.py",)


def test_the_broker_that_a_worker_is_started_with_leads(tmp_path: Path) -> None:
    files = TASKS | {"a/jobs.py": BROKER["shop/broker.py"], "b/jobs.py": BROKER["shop/broker.py"]}
    assert found_in(tmp_path / "n", files).app == "a/jobs.py:broker"
    use = found_in(
        tmp_path / "s", files | {"Procfile": "worker: dramatiq b.jobs shop.tasks -p 4\n"}
    )
    assert use.apps == ("b/jobs.py:broker", "a/jobs.py:broker")


def test_a_broker_in_a_project_that_is_called_an_example(tmp_path: Path) -> None:
    """Only where there is no other, and never one of the tests."""
    settings = {
        "shop_example/settings.py": (
            "DRAMATIQ_BROKER = {'BROKER': 'dramatiq.brokers.redis.RedisBroker'}\n"
        )
    }
    use = found_in(tmp_path / "r", TASKS | settings)
    assert (use.app, use.apps, use.broker) == (
        "shop_example/settings.py:DRAMATIQ_BROKER",
        (),
        "redis",
    )
    assert found_in(tmp_path / "b", TASKS | settings | BROKER).app == "shop/broker.py:broker"
    assert (
        found_in(tmp_path / "t", TASKS | {f"tests/{p}": t for p, t in BROKER.items()}).app is None
    )


LAUNCHERS = {
    "Procfile": "web: gunicorn x\nworker: python manage.py rundramatiq -p4 -t4\n",
    "docker-compose.yml": "services:\n  w:\n    command: dramatiq shop.tasks --processes 2\n",
    "compose.yaml": 'services:\n  w:\n    command: ["poetry", "run", "dramatiq", "shop.tasks"]\n',
    "deploy/compose/base.yml": "w:\n  command:\n    - dramatiq\n    - shop.tasks\n",
    "Makefile": "worker:\n\tuv run dramatiq shop.tasks --watch .\n",
    "scripts/worker.sh": "exec python -m dramatiq shop.tasks\n",
    "Dockerfile": 'CMD ["dramatiq-gevent", "shop.tasks"]\n',
    "w.service": "[Service]\nExecStart=/opt/venv/bin/dramatiq shop.tasks\n",
}


@pytest.mark.parametrize("path", LAUNCHERS)
def test_finds_who_starts_workers(tmp_path: Path, path: str) -> None:
    """In no manifest at all: the command line shows the use."""
    use = use_in(tmp_path / "r", {"requirements.txt": "flask\n", path: LAUNCHERS[path]} | TASKS)
    assert use is not None
    assert path in {place.path for place in use.evidence}


NO_LAUNCHERS = {
    "docker-compose.yml": "services:\n  dramatiq:\n    image: shop/dramatiq latest\n",
    "Dockerfile": "RUN pip install dramatiq watchdog\n",
    "Makefile": "install:\n\tpip install dramatiq redis\n# dramatiq shop.tasks\n",
    "pyproject.toml": '[project.optional-dependencies]\nqueue = [\n  "dramatiq >=1.0",\n]\n',
    "compose.yml": "services:\n  web:\n    depends_on:\n      - dramatiq\n      - redis\n",
    "test.yml": "run: |\n  import dramatiq, sys\n",
    "ci.yml": "jobs:\n  dramatiq:\n    name: dramatiq tests\n",
}


@pytest.mark.parametrize("path", NO_LAUNCHERS)
def test_ignores_what_starts_no_worker(tmp_path: Path, path: str) -> None:
    optional = {"requirements.txt": "flask\n", "lib/integrations/queue.py": TASKS["shop/tasks.py"]}
    assert use_in(tmp_path / "r", optional | {path: NO_LAUNCHERS[path]}) is None


PATCHES = (
    "from dramatiq.broker import Broker\nfrom dramatiq.middleware import Middleware\nclass"
    " Watch(Middleware): ...\n"
)
EXTRA = "setup(extras_require={'d': ['dramatiq']})\n"
NOT_IN_USE = {
    "only declared": REQUIRED,
    "only tests": REQUIRED | {f"tests/{p}": t for p, t in (TASKS | BROKER).items()},
    "only examples": REQUIRED | {f"examples/{p}": t for p, t in (TASKS | BROKER).items()},
    "instrumentation": {"setup.py": EXTRA, "lib/integrations/dramatiq.py": PATCHES},
    "a broker for others": REQUIRED | BROKER,
    "the library": {"dramatiq/__init__.py": "from .actor import actor\n", **TASKS, **REQUIRED},
    "vendored": REQUIRED | {f"vendor/{p}": t for p, t in (TASKS | BROKER).items()},
    "a module of ours": {
        "common/dramatiq.py": "def actor(f): ...\n",
        "common/x.py": "from .dramatiq import actor\n@actor\ndef f(): ...\n",
    },
}


@pytest.mark.parametrize("name", NOT_IN_USE)
def test_ignores_repositories_that_do_not_use_it(tmp_path: Path, name: str) -> None:
    assert use_in(tmp_path / "r", NOT_IN_USE[name]) is None


SCHEDULED = {
    "periodiq": PERIODIQ + "@dramatiq.actor(periodic=cron('* * * * *'))\ndef f(): ...\n",
    "dramatiq-crontab": ACTORS["under cron"],
    "apscheduler": (
        TASKS["shop/tasks.py"] + "from apscheduler.schedulers.blocking import BlockingScheduler\n"
        "s = BlockingScheduler()\ns.add_job(send.send, 'interval', minutes=5)\n"
    ),
}


@pytest.mark.parametrize("name", SCHEDULED)
def test_finds_the_scheduler(tmp_path: Path, name: str) -> None:
    assert found_in(tmp_path / "r", BROKER | {"shop/jobs.py": SCHEDULED[name]}).scheduler == name
    assert found_in(tmp_path / "n", BROKER | TASKS).scheduler is None
