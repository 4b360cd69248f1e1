"""Dependencies, package managers, languages and folders."""

from __future__ import annotations

from pathlib import Path

import helpers
import pytest

from skillrun.repo.manifests import Dependency, read_manifests
from skillrun.repo.survey import Survey, survey_tree
from skillrun.repo.tree import Tree


def celery_in(root: Path, files: dict[str, str]) -> Dependency:
    """The one declaration of Celery."""
    found = read_manifests(Tree(helpers.build_tree(root, files))).find("Celery")
    assert len(found) == 1
    return found[0]


@pytest.mark.parametrize(
    ("name", "text", "line", "group", "extras"),
    [
        (
            "pyproject.toml",
            '[project]\ndependencies = [\n  "celery[redis]>=5",\n]\n',
            3,
            "",
            ("redis",),
        ),
        (
            "pyproject.toml",
            '[project.optional-dependencies]\nworker = ["celery"]\n',
            2,
            "extra:worker",
            (),
        ),
        ("pyproject.toml", '[dependency-groups]\nmain = ["celery"]\n', 2, "main", ()),
        ("pyproject.toml", '[tool.uv]\ndev-dependencies = ["celery"]\n', 2, "dev", ()),
        ("pyproject.toml", '[tool.poetry.dependencies]\npython = "^3"\ncelery = "^5"\n', 3, "", ()),
        (
            "pyproject.toml",
            '[tool.poetry.dependencies]\ncelery = {version = "5", extras = ["sqs"]}\n',
            2,
            "",
            ("sqs",),
        ),
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
def test_declared(
    tmp_path: Path, name: str, text: str, line: int, group: str, extras: tuple[str, ...]
) -> None:
    found = celery_in(tmp_path, {name: text})
    assert (found.path, found.line, found.group, found.extras) == (name, line, group, extras)
    assert found.main == (group in ("", "main"))


@pytest.mark.parametrize(
    ("path", "text", "name", "line", "main"),
    [
        ("Gemfile", "gem 'rails'\ngem 'solid_queue'\n", "solid-queue", 2, True),
        ("Gemfile", "group :test do\n  gem 'sidekiq'\nend\n", "sidekiq", 2, False),
        ("Gemfile", "group :production, :test do\n  gem 'sidekiq'\nend\n", "sidekiq", 2, True),
        ("Gemfile", "# gem 'x'\ngem 'sidekiq', group: :development\n", "sidekiq", 2, False),
        (
            "x.gemspec",
            "Gem::Specification.new do |s|\n  s.add_dependency 'resque'\nend\n",
            "resque",
            2,
            True,
        ),
        ("go.mod", "module x\n\nrequire (\n\tgithub.com/a/B v1\n)\n", "github.com/a/b", 4, True),
        ("go.mod", "require github.com/a/b v1\n", "github.com/a/b", 1, True),
        ("build.gradle.kts", 'dependencies {\n  implementation("a.b:c:1")\n}\n', "a.b:c", 2, True),
        ("build.gradle", "dependencies {\n  testImplementation 'a.b:c:1'\n}\n", "a.b:c", 2, False),
        ("gradle/libs.versions.toml", '[libraries]\nc = { module = "a.b:c" }\n', "a.b:c", 2, True),
        ("composer.json", '{"require-dev": {"laravel/pint": "1"}}', "laravel/pint", 1, False),
        ("mix.exs", 'defp deps do\n  [\n    {:oban, "~> 2"}\n  ]\nend\n', "oban", 3, True),
        ("mix.exs", '[{:credo, "~> 1", only: [:dev, :test]}]\n', "credo", 1, False),
        (
            "A/A.csproj",
            '<Project>\n<PackageReference Include="Quartz" />\n</Project>',
            "quartz",
            2,
            True,
        ),
        (
            "A.Tests/A.Tests.csproj",
            '<Project><PackageReference Include="Quartz" /></Project>',
            "quartz",
            1,
            False,
        ),
        ("Cargo.toml", '[dependencies]\nq = { package = "apalis" }\n', "apalis", 2, True),
        ("Cargo.toml", '[dev-dependencies]\napalis = "1"\n', "apalis", 2, False),
    ],
)
def test_declared_in_other_languages(
    tmp_path: Path, path: str, text: str, name: str, line: int, main: bool
) -> None:
    manifests = read_manifests(Tree(helpers.build_tree(tmp_path, {path: text})))
    assert not manifests.notes
    found = next(one for one in manifests.dependencies if one.name == name)
    assert (found.path, found.line, found.main) == (path, line, main)


def test_what_only_comes_with_another_go_module_is_none(tmp_path: Path) -> None:
    text = "require (\n\tgithub.com/a/b v1 // indirect\n)\n"
    assert not read_manifests(Tree(helpers.build_tree(tmp_path, {"go.mod": text}))).dependencies


def test_the_source_of_a_compiled_file_is_the_truth(tmp_path: Path) -> None:
    files = {
        "requirements.in": "django-celery-beat\n",
        "requirements.txt": "celery==5\n    # via django-celery-beat\n",
    }
    manifests = read_manifests(Tree(helpers.build_tree(tmp_path, files)))
    assert not manifests.find("celery")
    assert manifests.find("django_celery_beat")


def test_a_transitive_pin_is_no_dependency(tmp_path: Path) -> None:
    text = "celery==5\n    # via flower\nflower==2\n    # via -r base.in\nkombu==5  # via celery\n"
    manifests = read_manifests(Tree(helpers.build_tree(tmp_path, {"requirements.txt": text})))
    assert manifests.names() == {"flower"}


def test_a_broken_manifest_is_a_note(tmp_path: Path) -> None:
    files = {
        "pyproject.toml": "[",
        "setup.py": "def (",
        "package.json": "[1]",
        "requirements.txt": "celery\n",
    }
    manifests = read_manifests(Tree(helpers.build_tree(tmp_path, files)))
    assert manifests.names() == {"celery"}
    assert len(manifests.notes) == 3


def surveyed(root: Path, files: dict[str, str]) -> Survey:
    return survey_tree(Tree(helpers.build_tree(root, files)), [])


@pytest.mark.parametrize(
    ("files", "manager"),
    [
        ({"uv.lock": ""}, "uv"),
        ({"poetry.lock": ""}, "poetry"),
        ({"pyproject.toml": "[tool.poetry]\n"}, "poetry"),
        ({"Pipfile": ""}, "pipenv"),
        ({"requirements.in": "x", "requirements.txt": "x"}, "pip-tools"),
        ({"requirements.txt": "x"}, "pip"),
        (
            {"uv.lock": "", "poetry.lock": "", ".github/workflows/ci.yml": "run: poetry install\n"},
            "poetry",
        ),
        ({"uv.lock": "", "poetry.lock": "", ".github/workflows/ci.yml": "run: uv sync\n"}, "uv"),
        ({"requirements.txt": "x", "package-lock.json": "{}"}, "pip"),
        ({"pyproject.toml": "[tool.hatch.envs.default.scripts]\ntest = 'pytest'\n"}, "hatch"),
        ({"pyproject.toml": "[tool.hatch.build]\n"}, "pip"),
        (
            {
                "r/requirements.in": "x",
                "r/requirements.txt": "# autogenerated by\n#    uv pip compile a\nx==1\n",
            },
            "uv",
        ),
        (
            {"requirements.txt": "x", "Makefile": "i:\n\tuv pip install -Ur requirements.txt\n"},
            "uv",
        ),
        ({"requirements.txt": "x", "Dockerfile": "RUN uv pip install gunicorn\n"}, "pip"),
        ({"requirements.txt": "x", "requirements.lock": "#    uv pip compile a\n"}, "uv"),
        (
            {"requirements.in": "x", "requirements.txt": "x==1  # not by\n# uv pip compile\n"},
            "pip-tools",
        ),
    ],
)
def test_package_managers(tmp_path: Path, files: dict[str, str], manager: str) -> None:
    assert surveyed(tmp_path, {"app.py": "x = 1\n"} | files).package_manager == manager


def test_a_solution_of_dotnet_is_installed_by_nuget(tmp_path: Path) -> None:
    files = {
        "Shop.sln": "",
        "Shop/A.cs": "class A { }\n" * 99,
        "UI/package.json": "{}",
        "UI/package-lock.json": "{}",
    }
    assert surveyed(tmp_path / "a", files).package_manager == "nuget"
    del files["Shop.sln"]
    assert surveyed(tmp_path / "b", files | {"UI/a.js": "f()\n" * 99}).package_manager == "npm"


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
    assert survey_tree(Tree(tmp_path), []) == Survey()
