"""Odd repositories for the tests of the command line: each function builds one in a folder and
returns its checkout.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import helpers
import pytest

from skillrun.core.resources import resource

TASKS = """
    from celery import shared_task

    @shared_task(bind=True, max_retries=3, acks_late=True)
    def send_receipt(self, order_id: int, email: str) -> None:
        print(order_id, email)
    """
ORDERS = """
    from {package}.tasks import send_receipt

    def settle(order_id: int, email: str) -> None:
        send_receipt.delay(order_id=order_id, email=email)
    """
CELERY_APP = """
    from celery import Celery

    app = Celery("{package}", broker="redis://localhost:6379/0", include=["{package}.tasks"])
    """
HOSTILE_NAMES = (
    b"line\nbreak.py",
    b"escape\x1b[31mred\x1b]0;title\x07.py",
    "bidi\u202egpj.py".encode(),
    "zero\u200bwidth.py".encode(),
    b"not-utf8-\xff\xfe.py",
    b"-rf.py",
    b"quote'\"$(touch pwned)`.py",
    b"<script>alert(1)</script>.py",
    b"tab\there.py",
    b" leading and trailing .py",
    b"%s%n.py",
)


def celery_files(package: str = "shop") -> dict[str, str | bytes]:
    """The files of a small Celery package whose app is `<package>.celery:app`."""
    return {
        f"{package}/__init__.py": "",
        f"{package}/celery.py": CELERY_APP.format(package=package),
        f"{package}/tasks.py": TASKS,
        f"{package}/orders.py": ORDERS.format(package=package),
    }


def plain_files() -> dict[str, str | bytes]:
    """A Python project that uses Celery, with commands for lint and test."""
    return {
        **celery_files(),
        "pyproject.toml": (
            """
            [project]
            name = "shop"
            version = "1"
            dependencies = ["celery>=5"]
            """
        ),
        "Makefile": "lint:\n\tpython -m compileall -q shop\n\ntest:\n\tpython -c pass\n",
        "Procfile": "worker: celery -A shop worker\n",
    }


def plain(root: Path) -> Path:
    """A checkout with nothing odd: one Celery app, on branch main, one commit."""
    return helpers.build_tree(root, plain_files())


def example_shop(root: Path, *overlays: str) -> Path:
    """The bundled shop in one commit, with the demo's overlays (e.g. "1-idempotency-unknown") laid
    over it.
    """
    examples = resource("skills", "job-worker-orchestration", "examples")
    ignored = shutil.ignore_patterns("__pycache__", ".pytest_cache")
    shutil.copytree(examples / "celery-shop", root, ignore=ignored)
    for overlay in overlays:
        shutil.copytree(examples / "celery-shop-steps" / overlay, root, dirs_exist_ok=True)
    return helpers.build_tree(root, {})


def no_git(root: Path) -> Path:
    """Files, and no repository around them: the folder is a ceiling for git's search only if the
    caller sets one.
    """
    root.mkdir(parents=True)
    return helpers.write_files(root, plain_files())


def bare(root: Path) -> Path:
    """A bare repository with one commit; there is no checkout of it."""
    source = plain(root.parent / f"{root.name}-source")
    helpers.git(root.parent, "clone", "--quiet", "--bare", str(source), str(root))
    shutil.rmtree(source)
    return root


def unborn(root: Path) -> Path:
    """A repository without any commit; all files are untracked."""
    root.mkdir(parents=True)
    helpers.git(root, "init", "--quiet")
    return helpers.write_files(root, plain_files())


def detached(root: Path) -> Path:
    """HEAD names a commit and no branch."""
    plain(root)
    helpers.git(root, "checkout", "--quiet", "--detach")
    return root


def dirty(root: Path) -> Path:
    """One file changed, one staged, one deleted, one untracked, one ignored."""
    plain(root)
    helpers.write_files(
        root, {".gitignore": "*.log\n", "staged.txt": "staged\n", "gone.txt": "gone\n"}
    )
    helpers.commit(root, "Second")
    helpers.write_files(
        root, {"Procfile": "worker: celery -A shop worker -c 2\n", "staged.txt": "changed\n"}
    )
    helpers.git(root, "add", "staged.txt")
    (root / "gone.txt").unlink()
    return helpers.write_files(root, {"untracked.txt": "new\n", "ignored.log": "noise\n"})


def linked_worktree(root: Path) -> Path:
    """A linked worktree on a branch of its own; the main checkout stands beside it in
    `<root>-main`.
    """
    main = plain(root.parent / f"{root.name}-main")
    helpers.git(main, "worktree", "add", "--quiet", "-b", "feature", str(root))
    return root


def with_submodule(root: Path) -> Path:
    """A checkout whose folder `vendor/lib` is a submodule with a commit and a Celery app of its
    own.
    """
    library = helpers.build_tree(root.parent / f"{root.name}-lib", celery_files("lib"))
    plain(root)
    helpers.git(root, "submodule", "--quiet", "add", str(library), "vendor/lib")
    helpers.commit(root, "Add the library")
    return root


def hostile_names(root: Path) -> Path:
    """File names with a newline, terminal sequences, bidi marks, bytes that are no UTF-8, markup
    and shell words.

    A file system that refuses a name (macOS: bytes that are no UTF-8) does without it.
    """
    plain(root)
    for name in HOSTILE_NAMES:
        try:
            Path(os.fsdecode(os.fsencode(root) + b"/shop/" + name)).write_text("VALUE = 1\n")
        except OSError:
            continue
    helpers.commit(root, "Odd names")
    return root


def hostile_content(root: Path) -> Path:
    """Files whose content steers a terminal, is no Python, no UTF-8, very deep, or very long; a
    link loop; a FIFO.
    """
    plain(root)
    odd: dict[str, str | bytes] = {
        "shop/escape.py": b"# \x1b[2J\x1b]0;owned\x07\n\xe2\x80\xaeX = 1\n",
        "shop/latin.py": b"# -*- coding: latin-1 -*-\nNAME = '\xe9'\n",
        "shop/broken.py": b"def (:\n",
        "shop/binary.py": bytes(range(256)) * 16,
        "shop/deep.py": b"X = " + b"(" * 5000 + b")" * 5000 + b"\n",
        "shop/long.py": b"X = '" + b"x" * 2_000_000 + b"'\n",
        "shop/bom.py": b"\xef\xbb\xbfX = 1\r\n",
        "shop/empty.py": b"",
    }
    helpers.write_files(root, odd)
    (root / "loop").symlink_to("loop")
    (root / "outside").symlink_to("/")
    helpers.commit(root, "Odd content")
    os.mkfifo(root / "pipe")
    return root


def many_files(root: Path, count: int = 50_000, *, python: bool = True) -> Path:
    """A checkout with `count` further files in folders of 500, every tenth a Python module; some
    seconds of work.
    """
    plain(root)
    for start in range(0, count, 500):
        folder = root / "lots" / f"part_{start // 500:03}"
        folder.mkdir(parents=True)
        for number in range(start, min(start + 500, count)):
            suffix = "py" if python and number % 10 == 0 else "txt"
            (folder / f"file_{number}.{suffix}").write_bytes(
                b"VALUE_%d = %d\n" % (number % 97, number % 97)
            )
    helpers.git(root, "-c", "core.looseCompression=0", "-c", "core.fsync=none", "add", "--all")
    helpers.git(root, "-c", "core.fsync=none", "commit", "--quiet", "--message", "Many files")
    return root


def django_shop(root: Path) -> Path:
    """Django with Celery as its documentation shows: `config/celery.py`, discovered tasks, settings
    by namespace.
    """
    return helpers.build_tree(
        root,
        {
            "manage.py": (
                "import sys\n\nfrom django.core.management import"
                " execute_from_command_line\n\nexecute_from_command_line(sys.argv)\n"
            ),
            "requirements.txt": "django>=4.2\ncelery[redis]>=5.3\ndjango-celery-beat\n",
            "config/__init__.py": (
                "from .celery import app as celery_app\n\n__all__ = ('celery_app',)\n"
            ),
            "config/celery.py": (
                """
                import os

                from celery import Celery

                os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
                app = Celery("config")
                app.config_from_object("django.conf:settings", namespace="CELERY")
                app.autodiscover_tasks()
                """
            ),
            "config/settings.py": (
                """
                INSTALLED_APPS = ["django.contrib.contenttypes", "django_celery_beat", "shop"]
                DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "db.sqlite3"}}
                CELERY_BROKER_URL = "redis://localhost:6379/0"
                CELERY_TASK_ACKS_LATE = True
                CELERY_TASK_REJECT_ON_WORKER_LOST = True
                CELERY_BEAT_SCHEDULER = "django_celery_beat.schedulers:DatabaseScheduler"
                CELERY_BEAT_SCHEDULE = {"sweep": {"task": "shop.tasks.sweep", "schedule": 300.0}}
                """
            ),
            "shop/__init__.py": "",
            "shop/models.py": (
                """
                from django.db import models


                class Receipt(models.Model):
                    order_id = models.IntegerField(unique=True)
                    email = models.EmailField()
                """
            ),
            "shop/tasks.py": (
                """
                from celery import shared_task
                from django.core.mail import send_mail

                from shop.models import Receipt


                @shared_task(
                    bind=True, max_retries=4, autoretry_for=(ConnectionError,), retry_backoff=2, retry_backoff_max=60
                )
                def send_receipt(self, order_id: int, email: str) -> None:
                    if Receipt.objects.filter(order_id=order_id).exists():
                        return
                    send_mail("Receipt", "Thank you", None, [email])
                    Receipt.objects.create(order_id=order_id, email=email)


                @shared_task
                def sweep() -> None:
                    pass
                """
            ),
            "shop/views.py": (
                """
                from django.db import transaction

                from shop.tasks import send_receipt


                def settle(request, order_id: int):
                    with transaction.atomic():
                        transaction.on_commit(lambda: send_receipt.delay(order_id=order_id, email="a@example.com"))
                """
            ),
            "Procfile": (
                "web: gunicorn config.wsgi\nworker: celery -A config worker\nbeat: celery -A config"
                " beat\n"
            ),
            "Makefile": "test:\n\tpython manage.py test\n",
        },
    )


def two_apps(root: Path) -> Path:
    """Two Celery apps of equal weight, each with tasks and a worker command of its own."""
    workers = "shop: celery -A shop worker\nbilling: celery -A billing worker\n"
    manifest = '[project]\nname = "two"\nversion = "1"\ndependencies = ["celery>=5"]\n'
    files = {
        **celery_files("shop"),
        **celery_files("billing"),
        "Procfile": workers,
        "pyproject.toml": manifest,
    }
    return helpers.build_tree(root, files)


def no_framework(root: Path) -> Path:
    """A Python project without any job library; it mentions Celery in prose only."""
    return helpers.build_tree(
        root,
        {
            "pyproject.toml": '[project]\nname = "site"\nversion = "1"\ndependencies = ["flask"]\n',
            "site_app/__init__.py": '"""We thought about celery, and decided against it."""\n',
            "site_app/views.py": "def index() -> str:\n    return 'hello'\n",
            "README.md": "# Site\n\nNo celery worker here.\n",
            "tests/test_views.py": (
                "from site_app.views import index\n\n\ndef test_index():\n    assert index()\n"
            ),
        },
    )


def no_files(root: Path) -> Path:
    """A repository whose only commit is empty."""
    return helpers.build_tree(root, {})


@contextmanager
def read_only(root: Path) -> Iterator[list[str]]:
    """Nothing in the tree can be written by a command that runs behind the yielded prefix.

    `with read_only(repo) as prefix: run_cli(..., prefix=prefix)`. Permissions are enough for a
    usual user; root ignores
    them, so it gets a read-only mount in a mount namespace of its own. The test is skipped, aloud,
    where neither works.
    """
    if os.geteuid() == 0:
        yield _read_only_mount(root)
        return
    paths = [root, *root.rglob("*")]
    modes = {path: path.stat().st_mode for path in paths if not path.is_symlink()}
    try:
        for path, mode in modes.items():
            path.chmod(mode & ~0o222)
        yield []
    finally:
        for path, mode in modes.items():
            path.chmod(mode)


def _read_only_mount(root: Path) -> list[str]:
    script = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && cd "$PWD" && exec "$@"'
    prefix = ["unshare", "--mount", "sh", "-c", script, str(root)]
    try:
        subprocess.run([*prefix, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("root, and no mount namespace: no tree can be made read-only here")
    return prefix
