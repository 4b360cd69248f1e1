"""The files of the sample repositories."""

from __future__ import annotations

import json
from textwrap import dedent
from typing import Any

from samples import (
    apscheduler,
    arq,
    celery,
    django_q2,
    django_tasks,
    dramatiq,
    huey,
    plain_cron,
    procrastinate,
    rq,
    saq,
    stores,
    taskiq,
)
from samples.combinations import FRAMEWORKS, IN_DJANGO, Combination
from samples.specs import spec

_MODULES = (
    celery,
    rq,
    huey,
    dramatiq,
    arq,
    saq,
    taskiq,
    procrastinate,
    django_q2,
    django_tasks,
    plain_cron,
    apscheduler,
)
_FRAMEWORKS: dict[str, Any] = dict(zip(FRAMEWORKS, _MODULES, strict=True))
COMMON = {
    ".gitignore": "__pycache__/\n*.db\n",
    "shop/__init__.py": "",
    "tests/__init__.py": "",
    "Makefile": stores.MAKEFILE,
    "tests/test_shop.py": "import shop\n\n\ndef test_it_is_there():\n    assert shop\n",
}
WITH_BROKER = {
    "compose.yaml": "services:\n  redis:\n    image: redis:7-alpine\n    ports: [6379:6379]\n",
    ".github/workflows/ci.yml": dedent("""\
        on: push
        jobs:
          test:
            runs-on: ubuntu-latest
            services:
              redis:
                image: redis:7
            steps:
              - uses: actions/checkout@v4
              - run: make lint typecheck test
        """),
}


def files(combination: Combination) -> dict[str, str]:
    """The files of the sample repository and its spec."""
    framework = _FRAMEWORKS[combination.framework]
    made = {**COMMON, **stores.STORES[combination.store], **framework.FILES}
    if combination.store == "django" or combination.framework in IN_DJANGO:
        made = {
            path: text for path, text in {**made, **framework.IN_DJANGO}.items() if text is not None
        }
    if combination.store == "asyncio":
        made |= getattr(framework, "AWAITED", {})
    needed = [*framework.NEEDS, *stores.NEEDS.get(combination.store, ())]
    made["pyproject.toml"] = _pyproject(*dict.fromkeys(needed))
    if combination.broker:
        over = _over_postgresql if framework is procrastinate else _over_redis
        made = {path: over(text) for path, text in {**made, **WITH_BROKER}.items()}
    return {
        **made,
        ".skillrun/jobs/send-receipt.json": json.dumps(spec(combination), indent=2) + "\n",
    }


def _pyproject(*dependencies: str) -> str:
    return dedent(f"""\
        [project]
        name = "shop"
        version = "1"
        dependencies = [{", ".join(f'"{one}"' for one in dependencies)}]

        [project.optional-dependencies]
        dev = ["mypy", "pytest", "ruff"]

        [tool.pytest.ini_options]
        testpaths = ["tests"]
        pythonpath = ["."]

        [tool.ruff.lint]
        select = ["E4", "E7", "E9", "F", "I", "B905"]

        [tool.mypy]
        strict = true
        ignore_missing_imports = true
        disallow_subclassing_any = false
        disallow_untyped_decorators = false
        """)


def _over_redis(text: str) -> str:
    """A module or a configuration of a repository whose tests may use a Redis that the environment
    names.
    """
    swaps = (
        ('"shop", broker="redis://localhost/0"', '"shop", broker=url'),
        ("from celery import Celery\n\napp", "import os\n\nfrom celery import Celery\n\napp"),
        (
            "\napp = Celery(",
            '\nurl = os.environ.get("REDIS_URL", "redis://localhost/0")\napp = Celery(',
        ),
        (
            'filename=os.environ.get("SHOP_QUEUE", "queue.db")',
            'url=os.environ.get("REDIS_URL", "redis://localhost/0")',
        ),
        ("SqliteHuey", "RedisHuey"),
        ('"orm": "default"', '"redis": os.environ.get("REDIS_URL", "redis://localhost/0")'),
        (
            'pythonpath = ["."]\n',
            'pythonpath = ["."]\nmarkers = ["integration: needs the Redis of compose.yaml"]\n',
        ),
    )
    for old, new in swaps:
        text = text.replace(old, new)
    return text


def _over_postgresql(text: str) -> str:
    """As `_over_redis`, with a PostgreSQL."""
    for old, new in (
        ("redis:7-alpine", "postgres:16-alpine"),
        ("redis:7", "postgres:16"),
        ("6379:6379", "5432:5432"),
    ):
        text = text.replace(old, new)
    return _over_redis(text.replace("redis:\n", "postgres:\n")).replace(
        "needs the Redis", "needs the PostgreSQL"
    )
