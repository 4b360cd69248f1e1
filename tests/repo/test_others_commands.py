"""Commands of somebody else in the same repository: of a package beside the application, of its
documentation, of the front end beside an application in another language.
"""

from __future__ import annotations

from pathlib import Path

from surveying import PYTHON, check_finds

CI = "jobs:\n  a:\n    runs-on: ubuntu-latest\n"


def _step(folder: str, command: str) -> dict[str, str]:
    return {".github/workflows/ci.yml": f"{CI}    steps:\n    - run: cd {folder} && {command}\n"}


def test_a_package_beside_the_application_has_its_own_makefile(tmp_path: Path) -> None:
    beside = {"sdk/Makefile": "test:\n\tpytest\n", "sdk/client.py": "x = 1\n"}
    check_finds(tmp_path / "part", beside, test="make -C sdk test")
    package = beside | {"sdk/pyproject.toml": "[project]\nname = 'sdk'\n"}
    # Of the shop two files are at the top, of the package one.
    own = {"shop.py": "x = 1\n", "orders.py": "x = 1\n"}
    check_finds(tmp_path / "beside", package | own)
    # Here the package is what there is, and its settings alone stand at the top.
    only = package | {"noxfile.py": "x = 1\n"}
    check_finds(tmp_path / "only", only | {"app/main.py": ""}, test="make -C sdk test")


def test_a_package_beside_a_javascript_application(tmp_path: Path) -> None:
    files = dict.fromkeys(PYTHON, "") | {
        "package.json": '{"dependencies": {"bullmq": "^5"}}',
        "src/worker.js": "let x;\n" * 40,
        "sdk/package.json": '{"scripts": {"lint": "eslint ."}}',
    }
    check_finds(tmp_path / "beside", files)
    workspace = files | {"src/worker.js": "", "sdk/index.js": "let x;\n" * 40}
    check_finds(tmp_path / "workspace", workspace, lint="npm --prefix sdk run lint")


def test_the_front_end_is_checked_for_itself(tmp_path: Path) -> None:
    recipes = {"Makefile": "test:\n\tcd frontend && npm test\nlint:\n\tcd app && ruff check .\n"}
    check_finds(tmp_path / "beside", recipes, lint="make lint")
    both = {"Makefile": "test:\n\tcd frontend && npm test\n\tpytest\n"}
    check_finds(tmp_path / "both", both, test="make test")
    javascript = dict.fromkeys(PYTHON, "") | {"frontend/a.js": "let x;\n" * 99}
    check_finds(tmp_path / "alone", javascript | recipes, test="make test", lint="make lint")


def test_the_documentation_is_checked_for_itself(tmp_path: Path) -> None:
    check_finds(tmp_path / "ci", _step("docs", "pytest"))
    check_finds(tmp_path / "application", _step("app", "pytest"), test="cd app && pytest")
    check_finds(tmp_path / "make", {"Makefile": "test:\n\tcd docs && pytest\n"})


def test_the_folder_of_all_steps_may_stand_on_one_line(tmp_path: Path) -> None:
    steps = "    defaults: {run: {working-directory: app}}\n    steps:\n    - run: pytest\n"
    check_finds(tmp_path, {".github/workflows/ci.yml": CI + steps}, test="cd app && pytest")
