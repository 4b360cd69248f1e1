"""Lines that are too long, broken as black breaks them."""

from __future__ import annotations

import ast
from pathlib import Path

import black
import pytest
from rows import real_but
from samples import Combination
from writing import write

from skillrun.skills.job_worker.scaffold.editing.wrapping import relay_lines

LINES = {
    "a call": 'app = Celery("shop", broker="redis://localhost/0", backend="rpc://")\n',
    "a call that fills two lines": (
        f'app = Celery("shop", broker="redis://localhost/0", name="{"a" * 40}")\n'
    ),
    "a list in a call": (
        'app = Celery("shop", broker="redis://localhost/0", include=["shop.tasks", "shop.more"])\n'
    ),
    "a list": 'ROUTES = ["shop.receipts.tasks", "shop.parcels.tasks", "shop.newsletters"]\n',
    "a dict": 'ROUTE = {"shop.receipts.tasks": "one", "shop.parcels.tasks": "two", "a": [1, 2]}\n',
    "an import": "from shop.receipts.tasks import enqueue_send_receipt, send_receipt, sweep_all\n",
    "a function": (
        "def send(order_id: int, email: str, *, key: str, attempts: int = 3) -> None:\n    pass\n"
    ),
    "a function of one": (
        "def send(order_id_of_the_customer_with_a_long_name: int = 3) -> None:\n    pass\n"
    ),
    "a trailer": (
        'row = connection.execute("SELECT count(*) FROM dead_jobs WHERE name").fetchone()\n'
    ),
    "a condition": (
        "if True:\n    if not isinstance(error, (mailer.Unavailable, TimeoutError)):\n       "
        " pass\n"
    ),
    "in brackets": (
        'monkeypatch.setattr(\n    mailer, "send", lambda order_id, email, key: None, False, 1\n)\n'
    ),
    "a comprehension": (
        'keys = {call["idempotency_key_of_the_receipt"] for call in adapter_of_receipts.calls}\n'
    ),
    "strings with commas": (
        'log.info("send_receipt done, order_id=%s correlation_id=%s", order_id, correlation_id)\n'
    ),
}


@pytest.mark.parametrize("which", LINES)
def test_black_has_nothing_to_do(which: str) -> None:
    made = relay_lines(LINES[which], 60)
    assert made != LINES[which]
    assert ast.dump(ast.parse(made)) == ast.dump(ast.parse(LINES[which]))
    assert black.format_str(made, mode=black.Mode(line_length=60)) == made


STAYS = {
    "short": "a = [1, 2]\n",
    "a text": f'a = """{"a" * 50}\n\n    {"b(c) " * 20}\n    """\n',
    "a comment": f"a = f(1, 2)  # {'b' * 60}\n",
    "no brackets": f"a = '{'b' * 60}'\n",
    "line ends": "a = [1, 2]\r\n",
}


@pytest.mark.parametrize("which", STAYS)
def test_what_cannot_be_broken_stays(which: str) -> None:
    assert relay_lines(STAYS[which], 60) == STAYS[which]


NO_RUFF = {"pyproject.toml": "", "Makefile": ""}
LIMITS = {
    "flake8": ({**NO_RUFF, "setup.cfg": "[flake8]\nmax-line-length = 79\n"}, 79),
    "pycodestyle": ({**NO_RUFF, "tox.ini": "[pycodestyle]\nmax_line_length = 100\n"}, 100),
    "black, whatever flake8 says": (
        {
            "setup.cfg": "[flake8]\nmax-line-length = 130\n",
            ".pre-commit-config.yaml": "repos: [{hooks: [{id: black}]}]\n",
        },
        88,
    ),
    "black": (
        {
            "shop/black.toml": "",
            ".pre-commit-config.yaml": "repos: [{hooks: [{id: black, args: [-l, '72']}]}]\n",
        },
        72,
    ),
}


@pytest.mark.parametrize("which", LIMITS)
@pytest.mark.parametrize("framework", real_but(("celery", "rq", "dramatiq", "huey"), "celery"))
def test_no_line_is_longer_than_the_repository_s(
    tmp_path: Path, framework: str, which: str
) -> None:
    more, width = LIMITS[which]
    written = write(tmp_path, Combination(framework, store="sqlalchemy"), more)
    texts = {
        change.path: change.after for change in written.plan.changes if change.path.endswith(".py")
    }
    longest = max(
        len(line) for text in texts.values() for line in text.splitlines() if breakable(line)
    )
    assert longest <= width
    for text in texts.values():
        ast.parse(text)


def breakable(line: str) -> bool:
    """A text alone on a line, or a comment, is left as it is."""
    return not line.lstrip().startswith(("#", '"', "'")) and not line.rstrip().endswith(('"', "."))


def test_docstrings_and_comments_are_filled() -> None:
    words = "one two three four five"
    assert (
        relay_lines(f'def f():\n    """{words}."""\n    # {words}\n', 20)
        == 'def f():\n    """one two\n    three four\n    five.\n    """\n    # one two three\n   '
        " # four five\n"
    )


def test_a_text_alone_on_its_line_is_divided() -> None:
    made = relay_lines('log.info(\n    "one two three four five", order_id\n)\n', 20)
    assert made == 'log.info(\n    "one two three "\n    "four five",\n    order_id,\n)\n'
