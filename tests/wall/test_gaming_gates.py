"""The looks at validations, hooks, workflows, and copies of the skill."""

from __future__ import annotations

import json

import pytest
from looks import everything, found, severities

from skillrun.core.resources import resource
from skillrun.core.verdict import Finding

MAKEFILE = """\
PYTHON ?= python

lint:
\truff check .

test: lint
\t$(PYTHON) -m pytest -q
\t$(PYTHON) -m doctest docs/guide.md

run:
\t$(PYTHON) -m shop
"""


def profile(**changes: object) -> str:
    value = {
        "commands": {
            "lint": "make lint",
            "typecheck": "none",
            "test": "make test",
            "build": "unknown",
        },
        "quality_bar": {"required_checks": ["lint", "test"]},
    }
    return json.dumps(value | changes, indent=2)


@pytest.mark.parametrize(
    ("test", "words"),
    (
        ("none", "is `none`"),
        ("unknown", "is `unknown`"),
        ("make test || true", "ignores the exit code"),
        ("make test; exit 0", "always ends with 0"),
        ("pytest -k 'not receipts'", "leaves tests out"),
        ("pytest --ignore=tests/test_receipts.py", "leaves tests out"),
        ("pytest --collect-only", "checks nothing"),
        ("true", "runs nothing"),
        ("echo ok", "runs nothing"),
    ),
)
def test_a_weaker_command_of_the_profile_is_found(test: str, words: str) -> None:
    new = profile(
        commands={"lint": "make lint", "typecheck": "none", "test": test, "build": "unknown"}
    )
    findings = found(
        "weaker-validation", {"REPO_PROFILE.json": profile()}, {"REPO_PROFILE.json": new}
    )
    assert severities(findings) == ["error"], findings
    assert words in findings[0].message


def test_a_required_check_that_is_gone_is_found_and_agent_waivers_are_noted() -> None:
    new = profile(quality_bar={"required_checks": ["lint"], "agent_waivers": True})
    findings = found(
        "weaker-validation", {"REPO_PROFILE.json": profile()}, {"REPO_PROFILE.json": new}
    )
    assert severities(findings) == ["error", "note"]
    assert "required_checks lost `test`" in findings[0].message
    assert "agent_waivers" in findings[1].message


def test_a_refused_risk_that_is_gone_is_found_and_one_more_is_not() -> None:
    bar = {"required_checks": ["lint", "test"]}
    refusing = profile(quality_bar={**bar, "risks": ["broker-lost"]})

    def look(before: str, after: str) -> list[Finding]:
        return found(
            "weaker-validation", {"REPO_PROFILE.json": before}, {"REPO_PROFILE.json": after}
        )

    (lost,) = look(refusing, profile())
    assert lost.severity == "error"
    assert "quality_bar.risks lost `broker-lost`" in lost.message
    assert look(profile(), refusing) == []


@pytest.mark.parametrize(
    ("before", "after", "severity", "words"),
    (
        (
            "\t$(PYTHON) -m pytest -q\n",
            "\t$(PYTHON) -m pytest -q || true\n",
            "error",
            "ignores the exit code",
        ),
        (
            "\t$(PYTHON) -m pytest -q\n",
            "\t-$(PYTHON) -m pytest -q\n",
            "error",
            "ignores the exit code",
        ),
        (
            "\t$(PYTHON) -m pytest -q\n",
            "\t$(PYTHON) -m pytest -q; exit 0\n",
            "error",
            "ends with 0",
        ),
        (
            "\t$(PYTHON) -m pytest -q\n",
            "\t$(PYTHON) -m pytest -q -k fast\n",
            "error",
            "leaves tests out",
        ),
        ("\truff check .\n", "\truff check . --exit-zero\n", "error", "checks nothing"),
        ("\truff check .\n", "\t@true\n", "error", "runs nothing"),
        ("lint:\n\truff check .\n", "", "error", "target lint is gone"),
        ("\t$(PYTHON) -m doctest docs/guide.md\n", "", "warning", "no longer runs"),
    ),
)
def test_a_weaker_target_is_found(before: str, after: str, severity: str, words: str) -> None:
    findings = found(
        "weaker-validation",
        {"Makefile": MAKEFILE},
        {"Makefile": MAKEFILE.replace(before, after, 1)},
    )
    assert severity in severities(findings), findings
    assert any(words in finding.message for finding in findings), findings


@pytest.mark.parametrize(
    "new",
    (
        {"Makefile": MAKEFILE.replace("pytest -q", "pytest -q --exitfirst -n auto")},
        {"Makefile": MAKEFILE.replace("$(PYTHON) -m pytest -q", "uv run pytest -q")},
        {"Makefile": MAKEFILE.replace("\t$(PYTHON) -m shop", "\t-$(PYTHON) -m shop || true")},
        {
            "Makefile": MAKEFILE.replace(
                "\t$(PYTHON) -m pytest", "\techo testing && $(PYTHON) -m pytest"
            )
        },
        {"Makefile": MAKEFILE.replace("\truff check .", "\t$(MAKE) -k ruff")},
        {"Makefile": MAKEFILE + "\nfmt:\n\truff format . || true\n"},
        {
            "REPO_PROFILE.json": profile(
                commands={"lint": "ruff check .", "test": "uv run pytest", "build": "make build"}
            )
        },
        {
            "REPO_PROFILE.json": profile(
                quality_bar={"required_checks": ["test", "lint", "typecheck"]}
            )
        },
    ),
)
def test_other_commands_are_no_finding(new: dict[str, str]) -> None:
    assert (
        everything(
            {"Makefile": MAKEFILE, "REPO_PROFILE.json": profile()},
            {"Makefile": MAKEFILE, "REPO_PROFILE.json": profile(), **new},
        )
        == []
    )


# -- hooks and workflows


def hooks(**events: object) -> str:
    return json.dumps({"hooks": events, "permissions": {"allow": []}}, indent=1)


STOP = [
    {
        "hooks": [
            {
                "type": "command",
                "command": "skillrun hook stop --agent claude",
                "onFailure": "block",
            }
        ]
    }
]
EDIT = [
    {
        "matcher": "Edit",
        "hooks": [{"type": "command", "command": "skillrun hook pre-tool --agent claude"}],
    }
]
SETTINGS = ".claude/settings.json"
BOTH = hooks(Stop=STOP, PreToolUse=EDIT)


@pytest.mark.parametrize(
    ("new", "severity"),
    (
        (hooks(PreToolUse=EDIT), "error"),
        (hooks(Stop=[], PreToolUse=EDIT), "error"),
        (hooks(Notification=STOP, PreToolUse=EDIT), "error"),
        (BOTH.replace("--agent claude", "--agent claude || true", 1), "error"),
        (BOTH.replace('"permissions"', '"disableAllHooks": true,\n "permissions"'), "error"),
        (
            hooks(
                Stop=json.loads(json.dumps(STOP).replace(', "onFailure": "block"', "")),
                PreToolUse=EDIT,
            ),
            "warning",
        ),
    ),
)
def test_a_weaker_hook_is_found(new: str, severity: str) -> None:
    assert new != BOTH
    assert severities(found("weaker-gate", {SETTINGS: BOTH}, {SETTINGS: new})) == [severity]


@pytest.mark.parametrize(
    "path",
    (
        ".codex/hooks.json",
        ".cursor/hooks.json",
        ".gemini/settings.json",
        ".agents/hooks.json",
        ".github/hooks/skillrun.json",
    ),
)
def test_a_file_of_hooks_that_is_gone_is_found(path: str) -> None:
    assert severities(found("weaker-gate", {path: hooks(stop=STOP)}, {})) == ["error"]


@pytest.mark.parametrize(
    ("path", "text"),
    (
        (
            ".codex/config.toml",
            'model = "x"\n\n[[hooks.Stop]]\ncommand = "skillrun hook stop --agent codex"\n',
        ),
        (
            ".opencode/plugin/skillrun.ts",
            "export const plugin = async ({ $ }) => $`skillrun hook stop`\n",
        ),
        (
            ".pre-commit-config.yaml",
            "repos:\n  - repo: local\n    hooks:\n      - entry: skillrun verify\n",
        ),
    ),
)
def test_hooks_in_other_formats_are_found(path: str, text: str) -> None:
    less = "\n".join(line for line in text.splitlines() if "skillrun" not in line)
    assert severities(found("weaker-gate", {path: text}, {path: less})) == ["error"]


PRECOMMIT = """\
repos:
  - repo: https://forge.example.org/tools/skillrun
    rev: 0123456789abcdef0123456789abcdef01234567
    hooks:
      - id: skillrun-specs
      - id: skillrun-jobs
"""


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    (
        ("forge.example.org", "elsewhere.example.org", ["error", "error"]),
        ("- id: skillrun-jobs", "- {id: skillrun-jobs, stages: [manual]}", ["error"]),
        ("- id: skillrun-specs", "- {id: skillrun-specs, exclude: .*}", ["error"]),
        ("0123456789abcdef0123", "fedcba98765432100123", ["warning", "warning"]),
        ("repos:\n", "fail_fast: true\nrepos:\n", []),
    ),
)
def test_hooks_of_pre_commit_that_come_from_elsewhere_or_look_at_less(
    before: str, after: str, expected: list[str]
) -> None:
    assert PRECOMMIT.count(before) == 1
    path = ".pre-commit-config.yaml"
    changed = PRECOMMIT.replace(before, after)
    assert severities(found("weaker-gate", {path: PRECOMMIT}, {path: changed})) == expected


WORKFLOW = ".github/workflows/skillrun.yml"
STEPS = """\
on:
  pull_request:
  push:
    branches: [main]
jobs:
  verify:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v5
        with:
          fetch-depth: 0
      - run: skillrun verify --ci --format sarif --output skillrun.sarif
"""


@pytest.mark.parametrize(
    ("before", "after", "severity"),
    (
        (
            "    runs-on: ubuntu-latest\n",
            "    runs-on: ubuntu-latest\n    continue-on-error: true\n",
            "error",
        ),
        ("      - run: skillrun", "      - if: ${{ false }}\n        run: skillrun", "error"),
        (
            "- run: skillrun verify",
            "- run: |\n          set +e\n          skillrun verify",
            "error",
        ),
        (
            "      - run: skillrun verify",
            "      - continue-on-error: true\n        run: skillrun verify",
            "error",
        ),
        ("skillrun.sarif\n", "skillrun.sarif || true\n", "error"),
        ("      - run: skillrun", "      - if: false\n        run: skillrun", "error"),
        (
            "      - run: skillrun verify --ci --format sarif --output skillrun.sarif\n",
            "      - run: pytest\n",
            "error",
        ),
        ("      - run: skillrun", "      # - run: skillrun", "error"),
        ("      - run: skillrun", "      - shell: bash -n {0}\n        run: skillrun", "error"),
        ("      - run: skillrun", "      - shell: bash -c : {0}\n        run: skillrun", "error"),
        ("      - run: skillrun", "      - shell: 'true {0}'\n        run: skillrun", "error"),
        ("  pull_request:\n", "", "warning"),
        ("          fetch-depth: 0\n", "          fetch-depth: 1\n", "warning"),
    ),
)
def test_a_weaker_workflow_is_found(before: str, after: str, severity: str) -> None:
    assert before in STEPS
    findings = found("weaker-gate", {WORKFLOW: STEPS}, {WORKFLOW: STEPS.replace(before, after, 1)})
    assert severities(findings) == [severity], findings


OTHER = "on: push\njobs:\n  lint:\n    steps:\n      - run: ruff check .\n"


@pytest.mark.parametrize(
    "words", ("--base HEAD", "--base=HEAD~1", "--base $(git rev-parse HEAD)", "--repo ../other")
)
def test_a_call_that_judges_something_else_is_found(words: str) -> None:
    steered = STEPS.replace("--format sarif", f"{words} --format sarif")
    findings = found("weaker-gate", {WORKFLOW: STEPS}, {WORKFLOW: steered})
    assert severities(findings) == ["error"]
    assert "steered by" in findings[0].message
    assert found("weaker-gate", {WORKFLOW: steered}, {WORKFLOW: steered + "\n"}) == []


ACTION_STEPS = f"""\
on: [pull_request]
jobs:
  verify:
    steps:
      - uses: actions/checkout@v5
      - uses: tools/skillrun@{"0a" * 20}
        with:
          extras: services
"""


@pytest.mark.parametrize(
    "words", ("base: HEAD", "base: HEAD~1", "working-directory: other", "python: ./tools/python")
)
def test_an_input_of_the_action_that_steers_it_is_found(words: str) -> None:
    steered = f"{ACTION_STEPS}          {words}\n"
    findings = found("weaker-gate", {WORKFLOW: ACTION_STEPS}, {WORKFLOW: steered})
    assert severities(findings) == ["error"]
    assert (findings[0].line, "steered by" in findings[0].message) == (9, True)
    assert found("weaker-gate", {WORKFLOW: steered}, {WORKFLOW: steered + "\n"}) == []


@pytest.mark.parametrize("words", ("base: origin/main", "comment: false", "token: x"))
def test_an_input_of_the_action_that_decides_nothing_is_none(words: str) -> None:
    given = f"{ACTION_STEPS}          {words}\n"
    assert found("weaker-gate", {WORKFLOW: ACTION_STEPS}, {WORKFLOW: given}) == []


def test_the_action_that_is_gone_or_another_one_is_found() -> None:
    gone = ACTION_STEPS.partition("      - uses: tools/skillrun")[0]
    other = ACTION_STEPS.replace("tools/skillrun", "elsewhere/skillrun")
    for new in (gone, other):
        findings = found("weaker-gate", {WORKFLOW: ACTION_STEPS}, {WORKFLOW: new})
        assert severities(findings) == ["error"]
    newer = ACTION_STEPS.replace("0a" * 20, "0b" * 20)
    assert severities(found("weaker-gate", {WORKFLOW: ACTION_STEPS}, {WORKFLOW: newer})) == [
        "warning"
    ]


@pytest.mark.parametrize(
    ("old", "new"),
    (
        ({SETTINGS: BOTH}, {SETTINGS: BOTH.replace('"skillrun hook', '"/opt/bin/skillrun hook')}),
        ({SETTINGS: BOTH}, {SETTINGS: json.dumps(json.loads(BOTH), indent=4)}),
        ({SETTINGS: BOTH}, {SETTINGS: hooks(Stop=STOP, PreToolUse=EDIT, SessionStart=STOP)}),
        ({SETTINGS: '{"model": "x"}'}, {}),
        ({WORKFLOW: STEPS}, {WORKFLOW: STEPS.replace("checkout@v5", "checkout@v6")}),
        (
            {WORKFLOW: STEPS},
            {WORKFLOW: STEPS.replace("--format sarif", "--base origin/main --format sarif")},
        ),
        ({WORKFLOW: STEPS}, {WORKFLOW: STEPS + "      - run: echo done\n"}),
        (
            {WORKFLOW: STEPS},
            {
                WORKFLOW: (
                    STEPS
                    + "      - run: docker stop redis || true\n        continue-on-error: true\n"
                )
            },
        ),
        (
            {WORKFLOW: STEPS},
            {
                WORKFLOW: STEPS.replace(
                    "      - run:", "      - if: github.actor != 'bot'\n        run:"
                )
            },
        ),
        ({WORKFLOW: STEPS}, {".github/workflows/wall.yml": STEPS}),
        (
            {".github/workflows/lint.yml": OTHER},
            {".github/workflows/lint.yml": OTHER.replace("check .", "check . || true")},
        ),
        ({".github/workflows/lint.yml": OTHER}, {}),
    ),
)
def test_other_changes_of_gates_are_no_finding(old: dict[str, str], new: dict[str, str]) -> None:
    renamed = (
        {WORKFLOW: ".github/workflows/wall.yml"} if ".github/workflows/wall.yml" in new else {}
    )
    assert everything(old, new, renamed) == []


@pytest.mark.parametrize(
    "shell",
    (
        "bash",
        "bash -l {0}",
        "bash -el {0}",
        '"bash --noprofile --norc -eo pipefail {0}"',
        "sh -eux {0}",
        "pwsh",
        "${{ matrix.shell }}",
    ),
)
def test_a_usual_shell_is_no_finding(shell: str) -> None:
    before, after = "      - run: skillrun", f"      - shell: {shell}\n        run: skillrun"
    assert everything({WORKFLOW: STEPS}, {WORKFLOW: STEPS.replace(before, after, 1)}) == []


@pytest.mark.parametrize("path", ("shop/__pycache__/keys.cpython-311.pyc", "shop/keys.pyc"))
def test_bytecode_in_a_commit_is_found(path: str) -> None:
    assert severities(found("bytecode", {}, {path: "code"})) == ["error"]
    assert severities(found("bytecode", {path: "code"}, {path: "other code"})) == ["error"]
    assert everything({path: "code"}, {}) == []


SOURCE = "git+https://git.example/skillrun@" + "0" * 40
INSTALLING = STEPS.replace("      - run:", f"      - run: pip install {SOURCE}\n      - run:", 1)


@pytest.mark.parametrize(
    "line",
    (
        "git update-ref refs/remotes/origin/main HEAD",
        "git -C . update-ref refs/remotes/origin/main HEAD",
        "git fetch . HEAD:refs/remotes/origin/main",
        "git fetch -q origin +work:main",
        "git branch -f main HEAD",
        "git branch --force main",
        "git checkout -B main",
        "git tag -f base",
        "git remote set-url origin .",
        "git config remote.origin.url .",
        "git symbolic-ref refs/remotes/origin/HEAD refs/heads/work",
        "git replace origin/main HEAD",
        'echo "$PWD/tools" >> "$GITHUB_PATH"',
        "echo tools >> $GITHUB_PATH",
        'echo "${{ github.workspace }}/tools" >> $GITHUB_PATH',
        "export PATH=$PWD/tools:$PATH",
        "PATH=./tools:$PATH skillrun verify",
        "alias skillrun=true",
        "skillrun() { true; }",
        "cp tools/pass.sh /usr/local/bin/skillrun",
        "ln -sf $PWD/pass.sh .venv/bin/skillrun",
        "export PYTHONPATH=$PWD/shims",
    ),
)
def test_a_step_that_moves_the_base_or_the_program_is_found(line: str) -> None:
    new = STEPS.replace("      - run:", f"      - run: {line}\n      - run:", 1)
    findings = found("weaker-gate", {WORKFLOW: STEPS}, {WORKFLOW: new})
    assert severities(findings) == ["error"], findings
    assert new.splitlines()[(findings[0].line or 0) - 1].endswith(line)


@pytest.mark.parametrize(
    "line",
    (
        "git fetch origin main",
        "git fetch origin main:main",
        "git fetch origin main:refs/remotes/origin/main",
        "git fetch origin +refs/heads/main:refs/remotes/origin/main",
        "git config --global user.name ci",
        "git tag -l",
        'echo "$HOME/.local/bin" >> "$GITHUB_PATH"',
        'echo "$PWD/.venv/bin" >> $GITHUB_PATH',
        "export PATH=/usr/lib/postgresql/16/bin:$PATH",
        "echo $PATH",
        "# git branch -f main",
    ),
)
def test_a_step_that_prepares_what_is_usual_is_no_finding(line: str) -> None:
    new = STEPS.replace("      - run:", f"      - run: {line}\n      - run:", 1)
    assert everything({WORKFLOW: STEPS}, {WORKFLOW: new}) == []


@pytest.mark.parametrize(
    ("source", "severity"),
    (
        ("git+https://git.example/agent/skillrun-fork@main", "error"),
        ("git+https://git.example/skillrun@main", "error"),
        ("git+https://git.example/other/skillrun@" + "0" * 40, "error"),
        ("./vendor/skillrun", "error"),
        ("skillrun-cli==1.0", "error"),
        ("git+https://git.example/skillrun@" + "1" * 40, "warning"),
    ),
)
def test_another_source_of_skillrun_is_found(source: str, severity: str) -> None:
    new = INSTALLING.replace(SOURCE, source)
    assert severities(found("weaker-gate", {WORKFLOW: INSTALLING}, {WORKFLOW: new})) == [severity]


def test_the_same_source_told_otherwise_is_no_finding() -> None:
    new = INSTALLING.replace("pip install", "python -m pip install --quiet")
    assert everything({WORKFLOW: INSTALLING}, {WORKFLOW: new}) == []


@pytest.mark.parametrize(
    "path", ("tools/skillrun", "skillrun.py", "skillrun/__init__.py", "skillrun/__main__.py")
)
def test_a_file_by_the_name_of_the_program_is_found(path: str) -> None:
    assert severities(found("weaker-gate", {}, {path: "x = 1\n"})) == ["error"]
    assert everything({}, {f"docs/{path}.md": "x = 1\n"}) == []


# -- copies of the skill

BUNDLED = (resource("skills") / "job-worker-orchestration" / "SKILL.md").read_text()
COPY = ".agents/skills/job-worker-orchestration/SKILL.md"


def without_step(number: int) -> str:
    """The skill's text without a step of its workflow."""
    before, heading, workflow = BUNDLED.partition("## Workflow")
    start = workflow.index(f"\n{number}) " if f"\n{number}) " in workflow else f"\n{number}. ")
    end = workflow.index(f"\n{number + 1}", start + 1)
    return before + heading + workflow[:start] + workflow[end:]


@pytest.mark.parametrize("path", (COPY, COPY.replace(".agents", ".claude")))
def test_a_step_that_was_taken_out_of_a_copy_is_found(path: str) -> None:
    for old in ({path: BUNDLED}, {}):
        findings = found("weaker-skill", old, {path: without_step(3)})
        assert severities(findings) == ["error"], findings
        assert "Establish idempotency" in findings[0].message


def test_a_check_that_was_taken_out_is_found() -> None:
    before, heading, rest = BUNDLED.partition("## Checks\n")
    items = rest.split("\n- ")
    less = before + heading + "\n- ".join([items[0], *items[2:]])
    findings = found("weaker-skill", {COPY: BUNDLED}, {COPY: less})
    assert severities(findings) == ["error"], findings
    assert "check" in findings[0].message


def test_a_copy_that_asks_for_more_or_says_it_otherwise_is_no_finding() -> None:
    more = BUNDLED.replace("## Purpose", "## Purpose\nOur house rules apply, too.")
    assert everything({COPY: BUNDLED}, {COPY: more}) == []
    assert everything({}, {COPY: BUNDLED}) == []
    assert everything({COPY: without_step(3)}, {COPY: without_step(3) + "\n"}) == []
    assert (
        everything(
            {}, {".agents/skills/house-style/SKILL.md": "---\nname: house-style\n---\n\n# Ours\n"}
        )
        == []
    )
