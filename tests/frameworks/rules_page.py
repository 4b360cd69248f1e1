"""The page of the rules, made from the rules themselves.

python tests/frameworks/rules_page.py    writes docs/rules.md; a test compares them
"""

from __future__ import annotations

from pathlib import Path

from rule_gaps import GAPS, list_owners, list_shared

from skillrun.frameworks.interface import Rule
from skillrun.frameworks.registry import FRAMEWORKS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "rules.md"
HEAD = """# The rules

What skillrun looks for in the code of a job, library by library, and where each rule comes from:
`skillrun rules` lists the same. A rule is a function in the library's folder under
`skillrun/frameworks/`; `python tests/frameworks/rules_page.py` makes this page from them.
"""
SHARED = """
## Rules that most libraries share
Where a library lacks one, this is why, or which of its own rules says the same.

| rule | libraries with it | those without it |
|---|---|---|
"""


def write_page() -> str:
    """The whole page."""
    parts = [HEAD]
    for framework in FRAMEWORKS.values():
        parts.append(f"\n## {framework.TITLE}\n")
        parts.append("| rule | stage | why | source |\n|---|---|---|---|\n")
        parts += [write_row(rule) for rule in framework.list_rules()]
    return "".join([*parts, *write_shared()])


def write_shared() -> list[str]:
    """The table of the rules that most libraries share, with why a library lacks one."""
    owners = list_owners()
    lines = [SHARED]
    for slug in list_shared():
        have = [name for name in FRAMEWORKS if name in owners[slug]]
        lack = []
        for name in FRAMEWORKS:
            if name not in owners[slug]:
                lack.append(f"{FRAMEWORKS[name].TITLE}: {GAPS[slug][name]}")
        lines.append(f"| `{slug}` | {len(have)} | {'<br>'.join(lack)} |\n")
    return lines


def write_row(rule: Rule) -> str:
    """One line of a table."""
    cells = (f"`{rule.id}`", rule.stage, rule.why, rule.source)
    escaped = [cell.replace("|", "\\|") for cell in cells]
    return f"| {' | '.join(escaped)} |\n"


if __name__ == "__main__":
    PAGE.write_text(write_page(), encoding="utf-8")
