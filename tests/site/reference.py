"""The reference pages that are made from the code, and from nothing else.

python tests/site/reference.py    writes them below docs/reference/; a test compares them
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from skillrun.__main__ import COMMANDS
from skillrun.cli.app import make_parser
from skillrun.proof.families.registry import FAMILIES
from skillrun.proof.judges.risks import RISKS

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "docs" / "reference"
MADE = "<!-- made by tests/site/reference.py: change the code, and run it -->\n"
# The width at which typer breaks its help.
COLUMNS = "80"


@cache
def write_pages() -> dict[str, str]:
    """Each page by its file name."""
    return {
        "commands.md": write_commands(),
        "spec-fields.md": write_spec_fields(),
        "families.md": write_families(),
        "tables.md": write_tables(),
    }


def write_commands() -> str:
    """The help of every command and of every command below one."""
    parts = [
        "# Commands\n",
        "Each command's own help. `skillrun --install-completion` teaches bash, zsh or fish what may come next.\n",
        show_help([]),
    ]
    for name in sorted(COMMANDS):
        parts.append(f"## skillrun {name}\n\n{show_help([name])}")
        for below in list_subcommands(name):
            parts.append(f"### skillrun {name} {below}\n\n{show_help([name, below])}")
    return MADE + "\n".join(parts)


def find_command(words: list[str]) -> Any:
    """Click's own object of a command, with all of its parameters read."""
    command: Any = make_parser(frozenset(words))
    for word in words:
        command = command.commands[word]
    return command


def list_subcommands(name: str) -> list[str]:
    return sorted(getattr(find_command([name]), "commands", {}))


def show_help(words: list[str]) -> str:
    """A block of text with what `--help` prints."""
    os.environ["COLUMNS"] = COLUMNS
    command = find_command(words)
    context: Any = None
    parser: Any = make_parser(frozenset(words))
    for position, name in enumerate(["skillrun", *words]):
        parser = parser if position == 0 else parser.commands[name]
        context = parser.make_context(name, [], parent=context, resilient_parsing=True)
    lines = [line.rstrip() for line in command.get_help(context).strip().splitlines()]
    return "```text\n" + "\n".join(lines) + "\n```\n"


def write_spec_fields() -> str:
    """Every field of a job spec, from the published schema."""
    schema = json.loads((ROOT / "schemas" / "job-spec.v1.json").read_text(encoding="utf-8"))
    lines = [
        MADE + "# The job spec, field by field\n",
        "From `schemas/job-spec.v1.json`. [The job spec](../spec.md) explains what needs more than a line.\n",
        "| field | what it says |",
        "|---|---|",
    ]
    for path, field in walk_fields(schema, schema, ()):
        required = " Required." if field.get("is-required") else ""
        since = f" Since {field['x-since']}." if "x-since" in field else ""
        lines.append(f"| `{path}` | {fit_cell(str(field['description']))}{required}{since} |")
    return "\n".join(lines) + "\n"


def walk_fields(
    schema: dict[str, Any], at: dict[str, Any], path: tuple[str, ...]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """The fields below a part of the schema that have a description, each under its whole name."""
    at = follow(schema, at)
    for name, field in at.get("properties", {}).items():
        if "description" in field:
            needed = name in at.get("required", [])
            yield ".".join((*path, name)), {**field, "is-required": needed}
        yield from walk_fields(schema, field, (*path, name))
    for branch in (*at.get("anyOf", ()), *at.get("oneOf", ())):
        yield from walk_fields(schema, branch, path)
    if isinstance(at.get("items"), dict) and path:
        yield from walk_fields(schema, at["items"], (*path[:-1], f"{path[-1]}[]"))


def follow(schema: dict[str, Any], at: dict[str, Any]) -> dict[str, Any]:
    """What `$ref` names (`#/$defs/proof`), or the part itself."""
    if "$ref" not in at:
        return at
    named: dict[str, Any] = schema["$defs"][at["$ref"].rsplit("/", 1)[1]]
    return named


def write_families() -> str:
    """The families of schedules and the risks, as the proof has them."""
    lines = [
        MADE + "# Schedules and risks\n",
        "What a job is put through. A family plans its schedules from what the single run showed;"
        " where it has none, the proof says why. [How the proof works](../proof.md) explains them.\n",
        "## Families, in their order\n",
        "| family | where it has no schedule |",
        "|---|---|",
    ]
    told = set()
    for family in FAMILIES:
        if family.name not in told:
            told.add(family.name)
            lines.append(f"| `{family.name}` | {fit_cell(family.absent)} |")
    lines += [
        "\n## Risks\n",
        "What no promise covers. A person accepts one by its name, and with a reason.\n",
        "| risk | grades | what closes it |",
        "|---|---|---|",
    ]
    for name, rule in RISKS.items():
        grades = ", ".join(grade.value for grade in rule.grades)
        lines.append(f"| `{name}` | {grades} | {fit_cell(rule.closes)} |")
    return "\n".join(lines) + "\n"


def write_tables() -> str:
    """The ledger's own data dictionary, which another test holds against its migrations."""
    text = (ROOT / "ledger" / "README.md").read_text(encoding="utf-8")
    # A link from the file's own folder leads to nothing on the site.
    text = re.sub(r"\[([^\]]+)\]\((?!https?:|#)[^)]+\)", r"\1", text)
    return MADE + text.replace("# The ledger\n", "# The ledger's tables\n", 1)


def fit_cell(text: str) -> str:
    """Text that a cell of a table can hold."""
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, text in write_pages().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
