"""What skillrun tells people to install: packages that the index has, and never its own name."""

from __future__ import annotations

import re
import tomllib

import helpers

from skillrun.core.extras import EXTRAS, install_hint

# Where a person, an agent or a pipeline reads what to type.
PLACES = (
    "skillrun/**/*.py",
    "skillrun/**/*.j2",
    "docs/**/*.md",
    "ledger/*.md",
    "skills/**/*.md",
    "README.md",
)
# Of these two names on the index one is somebody else's, and the other could be.
BY_NAME = re.compile(
    r"(?:pip|pipx|uv|uvx|poetry)\b(?!\s+--from\s+[./])[^\n]*?\s['\"]?skillrun(?:-cli)?(?:\[[\w,]+\])?['\"]?(?=$|[\s`'\",.;)])"
)


def test_nothing_says_to_install_a_name_that_is_not_ours() -> None:
    assert BY_NAME.search("run: python -m pip install skillrun-cli")
    assert BY_NAME.search("`pip install 'skillrun-cli[mcp]'`")
    assert BY_NAME.search("uvx --from skillrun-cli skillrun")
    assert not BY_NAME.search("pip install /path/to/skillrun")
    assert not BY_NAME.search("`uvx --from /path/to/this/checkout skillrun`")
    found = []
    for pattern in PLACES:
        for path in helpers.ROOT.glob(pattern):
            for line in path.read_text("utf-8").splitlines():
                if BY_NAME.search(line):
                    found.append(f"{path.relative_to(helpers.ROOT)}: {line.strip()}")
    assert found == []


def test_the_packages_are_those_of_pyproject() -> None:
    pyproject = tomllib.loads((helpers.ROOT / "pyproject.toml").read_text("utf-8"))
    declared = pyproject["project"]["optional-dependencies"]
    for extra, requirement in EXTRAS.items():
        assert declared[extra] == [requirement]
    assert set(declared) == {*EXTRAS, "dev"}


def test_a_hint_is_a_command_that_a_shell_can_run() -> None:
    assert install_hint("web").startswith("pip install 'datasette>=0.65,<1', into")
