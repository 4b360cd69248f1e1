"""No generated test hides what it imports: a fixture or a variable never has the name of a module
of the repository.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import samples
from rows import real_but
from samples import Combination
from writing import Written, write

from skillrun.skills.job_worker.scaffold.shadowing import find_shadowed

CASES = [
    ("celery", "sqlite3", "database", "job_database"),
    ("rq", "sqlalchemy", "database", "job_database"),
    ("huey", "sqlalchemy", "engine", "job_engine"),
    ("dramatiq", "redis", "memory", "job_memory"),
]


def renamed(folder: Path, combination: Combination, module: str) -> Written:
    """A sample repository whose `shop/db.py` is called otherwise, with the job written into it."""
    texts = samples.files(combination)
    more = {}
    for path, text in texts.items():
        made = text.replace("shop import db", f"shop import {module}")
        made = made.replace("db.transaction", f"{module}.transaction")
        made = made.replace("shop.db import", f"shop.{module} import")
        more[path.replace("shop/db.py", f"shop/{module}.py")] = made
    return write(folder, combination, more, without=("shop/db.py",))


@pytest.mark.real
@pytest.mark.parametrize("case", real_but(CASES, CASES[0]), ids=" ".join)
def test_a_module_of_the_repository_is_not_hidden_in_its_tests(
    case: tuple[str, str, str, str], tmp_path: Path
) -> None:
    framework, store, module, name = case
    written = renamed(tmp_path, Combination(framework, store=store), module)
    (path,) = [
        change.path for change in written.plan.changes if change.path.startswith("tests/test_")
    ]
    text = written.text(path)
    assert find_shadowed(text) == frozenset()
    if f"import {module}" in text:
        assert name in text
    done = written.run("pytest", "-q", path)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.real
def test_an_effect_that_is_called_as_a_module_has_a_fixture_of_another_name(tmp_path: Path) -> None:
    files = samples.files(Combination("celery"))
    (spec,) = [path for path in files if path.startswith(".skillrun/jobs/")]
    text = files[spec]
    assert '"name": "email"' in text
    written = write(
        tmp_path, Combination("celery"), {spec: text.replace('"name": "email"', '"name": "db"')}
    )
    (path,) = [
        change.path for change in written.plan.changes if change.path.startswith("tests/test_")
    ]
    assert find_shadowed(written.text(path)) == frozenset()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("from shop import database\n\n\ndef database():\n    ...\n", {"database"}),
        ("import shop.db as engine\n\n\ndef test():\n    engine = 1\n", {"engine"}),
        ("import database.models\n\n\nasync def database():\n    ...\n", {"database"}),
        (
            (
                "from shop import database\n\n\nclass T:\n    def setUp(self):\n       "
                " self.database = 1\n"
            ),
            set(),
        ),
        ("from shop import database as shop_database\n\n\ndef database():\n    ...\n", set()),
        ("def (", set()),
    ],
)
def test_what_is_hidden_is_found(text: str, found: set[str]) -> None:
    assert find_shadowed(text) == found
