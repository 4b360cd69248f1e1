"""The environment variables with which a repository runs its own tests, as its files say."""

from __future__ import annotations

import configparser
import re
import tomllib
from collections.abc import Mapping
from typing import TYPE_CHECKING

from skillrun.repo.places import is_vendored

if TYPE_CHECKING:
    from skillrun.repo.tree import Tree

_DJANGO = "DJANGO_SETTINGS_MODULE"
# os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings", and setdefault(...).
_IN_CODE = re.compile(rf"['\"]{_DJANGO}['\"]\s*(?:,|\]\s*=)\s*['\"]([\w.]+)['\"]")
_OF_TESTS = re.compile(
    r"(?:^|/)(?:tests?/settings|test_?settings|settings/tests?|settings_tests?)\.py$"
)
_SCRIPTS = ("runtests.py", "run_tests.py", "manage.py")
_SET = re.compile(r"\s*([A-Za-z_]\w*)\s*=\s*(.*?)\s*")
_FILES = (*_SCRIPTS, "pyproject.toml", "pytest.ini", "tox.ini", "setup.cfg")
_OF_PYTEST = (("pytest.ini", "pytest"), ("tox.ini", "pytest"), ("setup.cfg", "tool:pytest"))


def read_variables(tree: Tree, home: str = ".") -> dict[str, str]:
    """Name -> value. What pytest is told counts more than what another way to run the tests is.
    `home`: the folder in which they are run, whose files count more than those above it.
    """
    found = _read_folder(tree, ".")
    if home != ".":
        found.update(_read_folder(tree, home))
    if _DJANGO not in found:
        found.update(_find_settings(tree))
    return found


def _find_settings(tree: Tree) -> dict[str, str]:
    """Where no file at the root says which settings a Django project has: those of a manage.py in a
    folder of its own, such as a plug-in's example project, else the only ones that tests have.
    """
    for path in sorted(tree.files, key=_count_folders):
        folder, _, name = path.rpartition("/")
        if name != "manage.py" or is_vendored(path):
            continue
        named = _IN_CODE.search(_read_text(tree, folder or ".", name))
        if named is not None:
            return {_DJANGO: named[1], "PYTHONPATH": folder} if folder else {_DJANGO: named[1]}
    for_tests = []
    for path in tree.files:
        if _OF_TESTS.search(path) and b"django" in (tree.read(path) or b""):
            for_tests.append(path)
    if len(for_tests) == 1:
        return {_DJANGO: for_tests[0].removesuffix(".py").replace("/", ".")}
    return {}


def _count_folders(path: str) -> int:
    return path.count("/")


def _read_folder(tree: Tree, home: str) -> dict[str, str]:
    texts = {name: _read_text(tree, home, name) for name in _FILES}
    found = _read_tox(texts["tox.ini"])
    for script in _SCRIPTS:
        named = _IN_CODE.search(texts[script])
        if named is not None:
            found.setdefault(_DJANGO, named[1])
    settings = _read_pytest(texts)
    if settings is not None:
        found[_DJANGO] = settings
    return found


def _read_tox(text: str) -> dict[str, str]:
    """`setenv` of tox.ini, without what tox would fill in."""
    found = {}
    for line in _read_section(text, "testenv").get("setenv", "").splitlines():
        named = _SET.fullmatch(line)
        if named is not None and "{" not in named[2] and named[1] != "PYTHONPATH":
            found[named[1]] = named[2]
    return found


def _read_pytest(texts: Mapping[str, str]) -> str | None:
    try:
        document = tomllib.loads(texts["pyproject.toml"])
    except tomllib.TOMLDecodeError:
        document = {}
    options = document.get("tool", {}).get("pytest", {}).get("ini_options", {})
    if isinstance(options.get(_DJANGO), str):
        return str(options[_DJANGO])
    for name, section in _OF_PYTEST:
        # As configparser spells every option.
        named = _read_section(texts[name], section).get(_DJANGO.lower())
        if named is not None:
            return named
    return None


def _read_section(text: str, section: str) -> Mapping[str, str]:
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        parser.read_string(text)
    except configparser.Error:
        return {}
    return dict(parser[section]) if section in parser else {}


def _read_text(tree: Tree, home: str, name: str) -> str:
    path = name if home == "." else f"{home}/{name}"
    return (tree.read(path) or b"").decode("utf-8", "replace")
