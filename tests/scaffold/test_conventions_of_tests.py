"""What formats a repository's code, where its tests live, and what it notes and counts."""

from __future__ import annotations

import pytest
from reading_conventions import Read

from skillrun.frameworks.pieces import Symbol

# -- formatters


@pytest.mark.parametrize(
    ("path", "text", "commands"),
    [
        (
            ".pre-commit-config.yaml",
            (
                "repos:\n- repo: a\n  hooks:\n  - id: black\n  - id: isort\n    args: [--profile,"
                " black]\n"
            ),
            ("isort -q --profile black", "black -q"),
        ),
        (
            ".pre-commit-config.yaml",
            "repos:\n- repo: a\n  hooks:\n  - id: ruff-format\n  - id: ruff\n    args: [--fix]\n",
            ("ruff format -q",),
        ),
        (
            ".pre-commit-config.yaml",
            "repos:\n- repo: a\n  hooks:\n  - id: ruff\n    args: [--select, 'E,I', --fix]\n",
            ("ruff check -q --select I --fix",),
        ),
        (
            ".pre-commit-config.yaml",
            "repos:\n- repo: local\n  hooks:\n  - id: fmt\n    entry: poetry run black -l 99\n",
            ("black -q -l 99",),
        ),
        (
            ".pre-commit-config.yaml",
            "exclude: ^shop/\nrepos:\n- repo: a\n  hooks:\n  - id: black\n",
            (),
        ),
        (
            ".pre-commit-config.yaml",
            "repos:\n- repo: a\n  hooks:\n  - id: black\n    files: ^other/\n",
            (),
        ),
        ("Makefile", "lint:\n\tisort --check .\n\tblack --check shop\n", ("isort -q", "black -q")),
        ("tox.ini", "[testenv:lint]\ndeps = black\ncommands = yapf -i -r shop\n", ("yapf -i",)),
        (
            ".github/workflows/ci.yml",
            "jobs:\n  a:\n    steps:\n    - run: |\n        uv run ruff format --check .\n",
            ("ruff format -q",),
        ),
        (
            ".github/workflows/ci.yml",
            "jobs:\n  a:\n    steps:\n    - run: pip install black isort==5\n",
            (),
        ),
        (
            "noxfile.py",
            'def lint(session):\n    session.run("black", "--check", "shop")\n',
            ("black -q",),
        ),
        ("requirements-dev.txt", "black==24.1\nisort\n", ("isort -q", "black -q")),
        ("requirements-dev.txt", "ruff\n", ()),
        ("pyproject.toml", "[tool.ruff]\nline-length = 88\n", ()),
        (
            "pyproject.toml",
            "[tool.ruff.lint]\nselect = ['E', 'I']\n",
            ("ruff check -q --select I --fix",),
        ),
        (
            "pyproject.toml",
            "[tool.ruff.lint]\nextend-select = ['I001']\n[tool.ruff.format]\n",
            ("ruff check -q --select I --fix", "ruff format -q"),
        ),
        ("setup.cfg", "[isort]\nprofile = black\n", ("isort -q",)),
        ("Makefile", "help:\n\techo 'run black . before you commit'\n", ()),
        ("Makefile", "# black . was used before\nlint:\n\tflake8\n", ()),
    ],
)
def test_formatters(conventions_of: Read, path: str, text: str, commands: tuple[str, ...]) -> None:
    assert conventions_of({path: text}).formatters == commands


def test_a_hook_is_plainer_than_a_leftover_dependency(conventions_of: Read) -> None:
    hook = "repos:\n- repo: a\n  hooks:\n  - id: ruff-format\n"
    assert conventions_of(
        {".pre-commit-config.yaml": hook, "requirements-dev.txt": "black\n"}
    ).formatters == ("ruff format -q",)


# -- tests

PYTEST = "def test_a():\n    assert True\n"
UNITTEST = "import unittest\nclass ATest(unittest.TestCase):\n    def test_a(self): pass\n"
DJANGO = "from django.test import TestCase\nclass ATest(TestCase):\n    def test_a(self): pass\n"
HOMES = {
    "top": ({"tests/test_mail.py": PYTEST}, ("pytest", "tests", "test_{}.py")),
    "unit": (
        {"tests/unit/test_a.py": PYTEST, "tests/integration/test_a.py": PYTEST},
        ("pytest", "tests/unit", "test_{}.py"),
    ),
    "mirrored": (
        {"tests/unit/shop/test_a.py": PYTEST, "tests/unit/test_b.py": PYTEST},
        ("pytest", "tests/unit/shop", "test_{}.py"),
    ),
    "inside": (
        {"shop/tests/test_a.py": PYTEST, "tests/test_b.py": PYTEST},
        ("pytest", "shop/tests", "test_{}.py"),
    ),
    "beside": ({"shop/test_a.py": PYTEST}, ("pytest", "shop", "test_{}.py")),
    "behind": (
        {"tests/mail_test.py": PYTEST, "tests/conftest.py": ""},
        ("pytest", "tests", "{}_test.py"),
    ),
    "unittest": ({"tests/test_mail.py": UNITTEST}, ("unittest", "tests", "test_{}.py")),
    "unittest with pytest": (
        {"tests/test_mail.py": UNITTEST, "requirements-dev.txt": "pytest\n"},
        ("unittest", "tests", "test_{}.py"),
    ),
    "django file": ({"manage.py": "", "shop/tests.py": DJANGO}, ("django", "shop", "test_{}.py")),
    "django file with the job's tests": (
        {"manage.py": "", "shop/tests.py": f'"""tasks: its tests."""\n{DJANGO}'},
        ("django", "shop", "tests.py"),
    ),
    "a module of helpers that is called test": (
        {
            "lib/test.py": "import pytest\n\n\nclass ViewTestMixin:\n    pass\n",
            "test/shop/up/test_views.py": PYTEST,
        },
        ("pytest", "test/shop", "test_{}.py"),
    ),
    "django folder": (
        {"manage.py": "", "shop/tests/__init__.py": "", "shop/tests/test_a.py": DJANGO},
        ("django", "shop/tests", "test_{}.py"),
    ),
    "other app's file": (
        {"manage.py": "", "users/models.py": "", "users/tests.py": DJANGO},
        ("django", "shop", "tests.py"),
    ),
    "other app's folder": (
        {"users/models.py": "", "users/tests/test_u.py": PYTEST},
        ("pytest", "shop/tests", "test_{}.py"),
    ),
    "imported": (
        {
            "tests/a/test_x.py": "from shop import mail\n" + PYTEST,
            "tests/b/test_y.py": PYTEST,
            "tests/b/test_z.py": PYTEST,
        },
        ("pytest", "tests/a", "test_{}.py"),
    ),
    "empty package": ({"shop/tests/__init__.py": ""}, ("pytest", "shop/tests", "test_{}.py")),
    "configured": (
        {
            "shop/tests/__init__.py": "",
            "checks/test_a.py": PYTEST,
            "pytest.ini": "[pytest]\ntestpaths = checks\n",
        },
        ("pytest", "checks", "test_{}.py"),
    ),
    "tests.py that pytest does not look at": (
        {"shop/tests.py": PYTEST, "requirements-dev.txt": "pytest\n"},
        ("pytest", "shop", "test_{}.py"),
    ),
    "tests.py that pytest is told to look at": (
        {
            "users/tests.py": PYTEST,
            "users/models.py": "",
            "pytest.ini": "[pytest]\npython_files = tests.py test_*.py\n",
        },
        ("pytest", "shop", "tests.py"),
    ),
    "a test case of its own": (
        {
            "requirements.txt": "django\n",
            "tests/test_a.py": "from tests import TestCase\nclass A(TestCase): pass\n",
        },
        ("django", "tests", "test_{}.py"),
    ),
    "files without a mark": (
        {
            "pytest.ini": "[pytest]\npython_files = *.py\n",
            "shop/tests/mail.py": PYTEST,
            "shop/tests/db.py": PYTEST,
        },
        ("pytest", "shop/tests", "{}.py"),
    ),
    "none, django": (
        {"manage.py": "", "requirements.txt": "django\n"},
        ("django", "shop", "tests.py"),
    ),
    "none, pytest": (
        {"pyproject.toml": "[tool.pytest.ini_options]\ntestpaths = ['test']\n"},
        ("pytest", "test", "test_{}.py"),
    ),
}


@pytest.mark.parametrize("name", HOMES)
def test_where_tests_live(conventions_of: Read, name: str) -> None:
    files, expected = HOMES[name]
    found = conventions_of(files)
    assert (found.test_runner, found.tests, found.test_pattern) == expected


@pytest.mark.parametrize("own", ["services/a/tests/__init__.py", "services/a/tests/test_other.py"])
def test_tests_are_those_of_the_handlers_project(conventions_of: Read, own: str) -> None:
    files = {
        "services/a/pyproject.toml": "",
        "services/a/app/tasks.py": "",
        own: "",
        "services/b/pyproject.toml": "",
        "services/b/tests/test_b.py": "from app import tasks\n" + PYTEST,
        "tests/test_all.py": "from app import tasks\n" + PYTEST,
    }
    assert conventions_of(files, "services/a/app/tasks.py").tests == "services/a/tests"


# -- notes and metrics


@pytest.mark.parametrize(
    ("path", "notes"),
    [
        ("docs/operations.md", "docs/operations.md"),
        ("RUNBOOK.md", "RUNBOOK.md"),
        ("docs/runbooks/mail-outage.md", "docs/runbooks/tasks.md"),
        ("docs/jobs/send_invoice.md", "docs/jobs/tasks.md"),
        ("docs/background-jobs.md", "docs/background-jobs.md"),
        ("docs/index.md", None),
        ("docs/features/background-jobs.md", None),
        ("README.md", None),
        ("CHANGELOG.md", None),
        ("docs/operations.rst", None),
        ("node_modules/x/RUNBOOK.md", None),
        ("examples/shop/docs/operations.md", None),
    ],
)
def test_notes(conventions_of: Read, path: str, notes: str | None) -> None:
    assert conventions_of({path: "# Notes\n"}).notes == notes


@pytest.mark.parametrize(
    ("path", "text", "metrics"),
    [
        ("shop/mail.py", "from prometheus_client import Counter\n", "prometheus_client"),
        ("shop/mail.py", "from datadog import statsd\nstatsd.increment('x')\n", "statsd"),
        ("shop/mail.py", "from shop import statsd_client\nstatsd_client.incr('x')\n", "statsd"),
        ("shop/mail.py", "import statsd\nclient = statsd.StatsClient()\nclient.incr('x')\n", None),
        ("shop/mail.py", "from opentelemetry import trace\n", "opentelemetry"),
        ("requirements.txt", "prometheus_client\n", None),
        ("tests/test_mail.py", "import prometheus_client\n", None),
        ("shop/mail.py", "# prometheus_client is not used\n", None),
    ],
)
def test_metrics(conventions_of: Read, path: str, text: str, metrics: str | None) -> None:
    assert conventions_of({path: text}).metrics == metrics


def test_the_client_of_statsd_is_the_repositorys_own(conventions_of: Read) -> None:
    found = conventions_of(
        {"shop/mail.py": "from shop import statsd_client\ndef f():\n    statsd_client.incr('x')\n"}
    )
    assert (found.metrics_client, found.metrics_count) == (Symbol("shop", "statsd_client"), "incr")


def test_datadogs_client_counts_with_another_method(conventions_of: Read) -> None:
    found = conventions_of({"shop/mail.py": "from datadog import statsd\nstatsd.increment('x')\n"})
    assert (found.metrics_client, found.metrics_count) == (Symbol("datadog", "statsd"), "increment")


@pytest.mark.parametrize(
    ("files", "oldest"),
    [
        ({"pyproject.toml": '[project]\nname = "x"\nrequires-python = ">=3.8,<4"\n'}, (3, 8)),
        ({"pyproject.toml": '[tool.poetry.dependencies]\npython = "^3.9"\n'}, (3, 9)),
        ({"setup.cfg": "[options]\npython_requires = ~=3.12\n"}, (3, 12)),
        ({"setup.py": "setup(name='x', python_requires='>=3.7')\n"}, (3, 7)),
        ({".python-version": "3.9.18\n"}, (3, 9)),
        ({"pyproject.toml": '[project]\nname = "x"\nrequires-python = ">=2.7"\n'}, (3, 10)),
        ({"pyproject.toml": "[project]\n", "setup.cfg": "what is this"}, (3, 10)),
    ],
)
def test_the_oldest_python_that_it_must_run_on(
    conventions_of: Read, files: dict[str, str], oldest: tuple[int, int]
) -> None:
    assert conventions_of(files).python == oldest
