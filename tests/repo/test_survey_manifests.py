"""Dependencies, package managers, languages and folders."""

from __future__ import annotations

from pathlib import Path

import helpers
import pytest

from skillrun.repo.manifests import Dependency, read_manifests
from skillrun.repo.survey import Survey, survey
from skillrun.repo.tree import Tree


def celery_in(root: Path, files: dict[str, str]) -> Dependency:
    """The one declaration of Celery."""
    found = read_manifests(Tree(helpers.build_tree(root, files))).find("Celery")
    assert len(found) == 1
    return found[0]


@pytest.mark.parametrize(
    ("name", "text", "line", "group", "extras"),
    [
        ("pyproject.toml", '[project]\ndependencies = [\n  "celery[redis]>=5",\n]\n', 3, "", ("redis",)),
        ("pyproject.toml", '[project.optional-dependencies]\nworker = ["celery"]\n', 2, "extra:worker", ()),
        ("pyproject.toml", '[dependency-groups]\nmain = ["celery"]\n', 2, "main", ()),
        ("pyproject.toml", '[tool.uv]\ndev-dependencies = ["celery"]\n', 2, "dev", ()),
        ("pyproject.toml", '[tool.poetry.dependencies]\npython = "^3"\ncelery = "^5"\n', 3, "", ()),
        ("pyproject.toml", '[tool.poetry.dependencies]\ncelery = {version = "5", extras = ["sqs"]}\n', 2, "", ("sqs",)),
        ("pyproject.toml", '[tool.poetry.group.dev.dependencies]\ncelery = "5"\n', 2, "dev", ()),
        ("Pipfile", '[packages]\ncelery = "*"\n', 2, "", ()),
        ("Pipfile", '[dev-packages]\ncelery = "*"\n', 2, "dev", ()),
        ("requirements.txt", "# celery\ndjango\nCelery==5.2 ; python_version > '3'\n", 3, "", ()),
        ("requirements/test.txt", "celery\n", 1, "test", ()),
        ("deploy/requirements-prod.txt", "celery @ git+https://example.invalid/x\n", 1, "", ()),
        ("setup.cfg", "[options]\ninstall_requires =\n    django\n    celery>=5\n", 4, "", ()),
        ("setup.cfg", "[options.extras_require]\ncelery =\n    celery>=5\n", 3, "extra:celery", ()),
        ("setup.py", "R = ['celery>=5']\nsetup(install_requires=R)\n", 1, "", ()),
        ("setup.py", "setup(extras_require={'q': ['celery']})\n", 1, "extra:q", ()),
        ("environment.yml", "name: x\ndependencies:\n  - python=3\n  - celery=5\n", 4, "", ()),
    ],
)
def test_declared(tmp_path: Path, name: str, text: str, line: int, group: str, extras: tuple[str, ...]) -> None:
    found = celery_in(tmp_path, {name: text})
    assert (found.path, found.line, found.group, found.extras) == (name, line, group, extras)
    assert found.main == (group in ("", "main"))


def test_the_source_of_a_compiled_file_is_the_truth(tmp_path: Path) -> None:
    files = {"requirements.in": "django-celery-beat\n", "requirements.txt": "celery==5\n    # via django-celery-beat\n"}
    manifests = read_manifests(Tree(helpers.build_tree(tmp_path, files)))
    assert not manifests.find("celery")
    assert manifests.find("django_celery_beat")


def test_a_transitive_pin_is_no_dependency(tmp_path: Path) -> None:
    text = "celery==5\n    # via flower\nflower==2\n    # via -r base.in\nkombu==5  # via celery\n"
    manifests = read_manifests(Tree(helpers.build_tree(tmp_path, {"requirements.txt": text})))
    assert manifests.names() == {"flower"}


def test_a_broken_manifest_is_a_note(tmp_path: Path) -> None:
    files = {"pyproject.toml": "[", "setup.py": "def (", "package.json": "[1]", "requirements.txt": "celery\n"}
    manifests = read_manifests(Tree(helpers.build_tree(tmp_path, files)))
    assert manifests.names() == {"celery"}
    assert len(manifests.notes) == 3


def surveyed(root: Path, files: dict[str, str]) -> Survey:
    return survey(Tree(helpers.build_tree(root, files)), [])


@pytest.mark.parametrize(
    ("files", "manager"),
    [
        ({"uv.lock": ""}, "uv"),
        ({"poetry.lock": ""}, "poetry"),
        ({"pyproject.toml": "[tool.poetry]\n"}, "poetry"),
        ({"Pipfile": ""}, "pipenv"),
        ({"requirements.in": "x", "requirements.txt": "x"}, "pip-tools"),
        ({"requirements.txt": "x"}, "pip"),
        ({"uv.lock": "", "poetry.lock": "", ".github/workflows/ci.yml": "run: poetry install\n"}, "poetry"),
        ({"uv.lock": "", "poetry.lock": "", ".github/workflows/ci.yml": "run: uv sync\n"}, "uv"),
        ({"requirements.txt": "x", "package-lock.json": "{}"}, "pip"),
    ],
)
def test_package_managers(tmp_path: Path, files: dict[str, str], manager: str) -> None:
    assert surveyed(tmp_path, {"app.py": "x = 1\n"} | files).package_manager == manager


def test_no_manifest_no_manager(tmp_path: Path) -> None:
    assert surveyed(tmp_path, {"app.py": "x = 1\n"}).package_manager is None


def test_languages_leave_out_what_is_vendored_built_or_small(tmp_path: Path) -> None:
    code = "x = 1\n" * 500
    files = {
        "a.py": code,
        "ui/b.ts": code,
        "vendor/c.go": code * 9,
        "public/d.js": code * 9,
        "e.rb": "x",
        "f.min.js": code * 9,
    }
    assert surveyed(tmp_path, files).languages == ("python", "typescript")


def test_folders_and_stack(tmp_path: Path) -> None:
    package = '{"dependencies": {"react": "19"}}'
    files = {
        "api/app.py": "x = 1\n" * 99,
        "api/requirements.txt": "Flask\n",
        "web/package.json": package,
        "demo/manage.py": "x",
    }
    found = surveyed(tmp_path, files)
    assert (found.paths.backend_root, found.paths.frontend_root) == ("api", "web")
    assert (found.stack.backend, found.stack.frontend) == ("flask", "react")


def test_an_empty_repository(tmp_path: Path) -> None:
    helpers.git(tmp_path, "init", "--quiet")
    assert survey(Tree(tmp_path), []) == Survey()
