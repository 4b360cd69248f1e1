"""Names, definitions and calls across the files of a repository."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path

import pytest

from skillrun.repo.python import Project, Unknown, is_known
from skillrun.repo.tree import Tree

SHOP = {
    "shop/__init__.py": "from .mailer import send as send_mail\n",
    "shop/celery.py": "from celery import Celery\napp = Celery('shop')\n",
    "shop/mailer.py": (
        """
        import smtplib

        class Unavailable(ConnectionError):
            pass

        class Mailer:
            def send(self, to):
                self.open()

            def open(self):
                smtplib.SMTP("localhost")

        client = Mailer()

        def send(to, *, idempotency_key=None):
            server = smtplib.SMTP("localhost")
            server.send_message(to)
        """
    ),
    "shop/limits.py": (
        """
        import os
        from datetime import timedelta

        HOUR = 60 * 60
        WINDOW = timedelta(days=7)
        FROM_ENV = int(os.environ.get("LIMIT", "5"))
        """
    ),
    "shop/tasks.py": (
        """
        import datetime as dt
        from . import mailer as post
        from .celery import app
        from .mailer import Unavailable, client
        from shop import send_mail

        @app.task(bind=True)
        def send_receipt(self, order_id: int, email=None):
            from .limits import HOUR
            for attempt in range(2):
                try:
                    with open("x") as file:
                        post.send(email)
                except (Unavailable, TimeoutError) as exc:
                    raise self.retry(exc=exc, countdown=HOUR)
            helper(lambda: send_mail(1))
            dt.datetime.now()

        def helper(then):
            client.send(then)
        """
    ),
}


@pytest.fixture
def project(make_repo: Callable[..., Path]) -> Project:
    return Project(Tree(make_repo(SHOP)))


def test_find_follows_re_exports_and_objects(project: Project) -> None:
    for written, name in {
        "shop.tasks:send_receipt": "send_receipt",
        "shop:send_mail": "send",
        "shop.mailer:client.send": "Mailer.send",
        "shop.mailer:Mailer.send": "Mailer.send",
    }.items():
        found = project.find(written)
        assert found is not None, written
        assert found.name == name
    assert project.find("shop.tasks:nothing") is None
    assert project.find("shop.nowhere:send") is None
    assert project.find("celery:Celery") is None


def test_a_variable_is_looked_up_with_its_line(project: Project) -> None:
    found = project.lookup("shop.mailer:client")
    assert found is not None
    assert found.definition is None
    assert (found.module and found.module.path, found.line) == ("shop/mailer.py", 13)


def test_a_missing_module_is_a_look_up(make_repo: Callable[..., Path]) -> None:
    tree = Tree(make_repo(SHOP))
    with tree.recording() as seen:
        assert Project(tree).find("shop.nowhere:send") is None
    assert "**/shop/nowhere.py" in {lookup.name for lookup in seen}


def test_a_remembered_answer_is_recorded_again(make_repo: Callable[..., Path]) -> None:
    tree = Tree(make_repo(SHOP))
    project = Project(tree)
    project.find("shop.tasks:send_receipt")
    with tree.recording() as seen:
        project.find("shop.tasks:send_receipt")
    assert "shop/tasks.py" in seen.files


def test_calls_in_order_with_what_is_around_them(project: Project) -> None:
    handler = project.find("shop.tasks:send_receipt")
    assert handler is not None
    calls = {call.origin: call for call in reversed(project.calls(handler))}
    send = calls["shop.mailer.send"]
    assert send.in_loop
    assert send.in_try[0].exceptions == ("shop.mailer.Unavailable", "builtins.TimeoutError")
    assert send.in_with == ("builtins.open",)
    assert calls["smtplib.SMTP.send_message"].via == ("shop.mailer.send",)
    assert calls["shop.mailer.Mailer.send"].via == ("shop.tasks.helper",)
    assert calls["self.retry"].in_except is not None
    assert calls["datetime.datetime.now"].path == "shop/tasks.py"
    deferred = [
        call
        for call in project.calls(handler)
        if call.deferred and call.origin == "shop.mailer.send"
    ]
    assert [call.path for call in deferred] == ["shop/tasks.py"]


THREADS = {
    "await asyncio.to_thread(post, order_id, copy=True)": True,
    "await run_in_threadpool(post, order_id)": True,
    "await asyncio.get_running_loop().run_in_executor(None, post, order_id)": True,
    "await asyncio.to_thread(*order_id)": False,
    "await asyncio.gather(post)": False,
}


@pytest.mark.parametrize("call", THREADS)
def test_what_a_thread_is_given_is_called(make_repo: Callable[..., Path], call: str) -> None:
    tasks = (
        "import asyncio\nfrom starlette.concurrency import run_in_threadpool\nfrom shop import"
        " mailer\n\n"
    )
    tasks += (
        f"async def work(order_id):\n    try:\n        {call}\n    except OSError:\n       "
        " pass\n\n"
    )
    tasks += "def post(order_id, copy=False):\n    mailer.send(order_id)\n"
    project = Project(Tree(make_repo({**SHOP, "shop/work.py": tasks})))
    handler = project.find("shop.work:work")
    assert handler is not None
    found = {one.origin: one for one in project.calls(handler)}
    assert ("shop.work.post" in found) is ("shop.mailer.send" in found) is THREADS[call]
    if THREADS[call]:
        post, send = found["shop.work.post"], found["shop.mailer.send"]
        assert ast.unparse(post.node).startswith("post(order_id")
        assert (send.via, send.in_try[0].exceptions) == (("shop.work.post",), ("builtins.OSError",))


def test_depth_bounds_what_is_followed(project: Project) -> None:
    handler = project.find("shop.tasks:send_receipt")
    assert handler is not None
    assert {call.path for call in project.calls(handler, depth=0)} == {"shop/tasks.py"}


def test_handlers_say_what_they_do(project: Project) -> None:
    handler = project.find("shop.tasks:send_receipt")
    assert handler is not None
    (clause,) = project.handlers(handler)
    assert clause.always_raises
    assert not clause.broad
    assert clause.calls == ("self.retry",)


def test_references_by_any_import(project: Project) -> None:
    places = {(call.path, call.line) for call in project.references("shop.mailer:send")}
    assert places == {("shop/tasks.py", 13), ("shop/tasks.py", 16)}


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("src/shop/tasks.py", "shop.tasks"),
        ("shop/tasks.py", "shop.tasks"),
        ("backend/manage.py", "manage"),
        ("backend/orders/tasks.py", "orders.tasks"),
        ("src/shop/__init__.py", "shop"),
    ],
)
def test_import_names(make_repo: Callable[..., Path], path: str, name: str) -> None:
    files = {
        "backend/manage.py": "from django.core.management import execute_from_command_line",
        "src/shop/__init__.py": "",
        "backend/orders/tasks.py": "",
        "shop/tasks.py": "",
    }
    assert Project(Tree(make_repo({**files, path: ""}))).import_name(path) == name


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("from django.core.management import execute_from_command_line", "tasks"),
        ("from configurations.management import x\nos.environ['DJANGO_CONFIGURATION']", "tasks"),
        ("def main(): ...", "office.tasks"),
    ],
    ids=["Django's", "Django's with configurations", "the package's own"],
)
def test_a_package_that_holds_its_command(
    make_repo: Callable[..., Path], command: str, name: str
) -> None:
    files = {"office/__init__.py": "", "office/manage.py": command, "office/tasks.py": ""}
    assert Project(Tree(make_repo(files))).import_name("office/tasks.py") == name


def test_a_module_named_like_its_library(make_repo: Callable[..., Path]) -> None:
    """`from celery import Celery` beside a celery.py means the library, with or without
    __init__.py.
    """
    for files in (
        {
            "proj/__init__.py": "",
            "proj/celery.py": "from celery import Celery\napp = Celery('p')\n",
        },
        {
            "proj/celery.py": "from celery import Celery\napp = Celery('p')\n",
            "proj/tasks.py": "from celery import Celery",
        },
    ):
        project = Project(
            Tree(make_repo(files, name=f"repo{len(files)}{'proj/tasks.py' in files}"))
        )
        assert project.origin("proj.celery.app.task") == "celery.Celery.task"


def test_a_sibling_module_of_scripts(make_repo: Callable[..., Path]) -> None:
    project = Project(
        Tree(
            make_repo(
                {
                    "jobs/tasks.py": "def send(): ...\n",
                    "jobs/main.py": "from tasks import send\nsend()\n",
                }
            )
        )
    )
    assert [(call.path, call.line) for call in project.references("jobs.tasks:send")] == [
        ("jobs/main.py", 2)
    ]


def test_broken_python_is_a_note(make_repo: Callable[..., Path]) -> None:
    project = Project(Tree(make_repo({"bad.py": "def (:\n", "nul.py": b"a\0b"})))
    assert project.module("bad.py") is None
    assert project.module("nul.py") is None
    assert "bad.py:1" in project.broken["bad.py"]


def test_subclasses_through_the_repository_and_builtins(project: Project) -> None:
    assert project.is_subclass("shop.mailer.Unavailable", "builtins.OSError")
    assert project.is_subclass("builtins.TimeoutError", "builtins.Exception")
    assert not project.is_subclass("shop.mailer.Unavailable", "builtins.ValueError")


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("60 * 60", 3600),
        ("limits.HOUR + 1", 3601),
        ("limits.WINDOW", 7 * 86400),
        ("timedelta(minutes=2).total_seconds()", 120),
        ("{'a': 1, **{'b': [1, 2]}}", {"a": 1, "b": [1, 2]}),
        ("dict(max_retries=2)", {"max_retries": 2}),
        ("min(5, 2)", 2),
        ("f'{limits.HOUR}s'", "3600s"),
        ("-1", -1),
    ],
)
def test_literals(make_repo: Callable[..., Path], expression: str, value: object) -> None:
    source = f"from datetime import timedelta\nfrom shop import limits\nX = {expression}\n"
    project = Project(Tree(make_repo({**SHOP, "use.py": source})))
    assert project.literal(_value_of(project, "use.py"), project.module("use.py")) == value  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("expression", "default"), [("limits.FROM_ENV", 5), ("f()", None), ("os.environ['A']", None)]
)
def test_what_only_running_tells(
    make_repo: Callable[..., Path], expression: str, default: object
) -> None:
    source = f"import os\nfrom shop import limits\nX = {expression}\n"
    project = Project(Tree(make_repo({**SHOP, "use.py": source})))
    value = project.literal(_value_of(project, "use.py"), project.module("use.py"))  # type: ignore[arg-type]
    assert not is_known(value)
    assert isinstance(value, Unknown)
    assert value.default == default


def test_django_settings(make_repo: Callable[..., Path]) -> None:
    files = {
        "manage.py": (
            "import os\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', 'proj.settings')\n"
        ),
        "proj/__init__.py": "",
        "proj/settings.py": "from .base import *\n",
        "proj/base.py": "LIMIT = 7\n",
        "use.py": "from django.conf import settings\nX = settings.LIMIT\n",
    }
    project = Project(Tree(make_repo(files)))
    assert project.literal(_value_of(project, "use.py"), project.module("use.py")) == 7  # type: ignore[arg-type]


def _value_of(project: Project, path: str) -> ast.expr:
    module = project.module(path)
    assert module is not None
    last = module.tree.body[-1]
    assert isinstance(last, ast.Assign)
    return last.value
