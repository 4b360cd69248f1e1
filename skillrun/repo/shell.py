"""What a shell command is for: linting, type checking, testing or building."""

from __future__ import annotations

import posixpath
import re

_OPTIONS = r"(?:\s+-{1,2}[\w-]+(?:=\S+)?)*"
_PREFIX = re.compile(
    r"(?:"
    r"[A-Za-z_]\w*=(?:\"[^\"]*\"|'[^']*'|\$\([^()]*\)|\S*)\s+"  # VARIABLE=value
    r"|@|-(?=\w)|\$ |sudo\s+|time\s+|exec\s+|env\s+|xvfb-run\s+(?:-a\s+)?"
    r"|cd\s+[^&;]+(?:&&|;)\s*|source\s+\S+\s*(?:&&|;)\s*|\.\s+\S+\s*(?:&&|;)\s*|set\s+-\S+\s*(?:&&|;)\s*"
    rf"|(?:uv|poetry|pipenv|pdm|hatch|rye|pixi)\s+run(?:\s+(?:--(?:group|extra|with|package|python|project)|-p)[\s=]\S+|{_OPTIONS[3:-2]})*\s+"
    r"|uvx\s+|pipx\s+run\s+|npx\s+|bunx\s+|pnpm\s+exec\s+|yarn\s+run\s+(?=\w+\s)|bundle\s+exec\s+"
    r"|docker[- ]compose\s+(?:-\S+\s+(?:[\w./-]+\.ya?ml\s+)?)*(?:run|exec)"
    r"(?:\s+(?:-[euvw]|--env|--user)\s+\S+|\s+(?!(?:-[euvw]|--env|--user)\s)-\S+)*\s+\w[\w-]*\s+"
    r"|docker\s+exec(?:\s+-\S+)*\s+\S+\s+"
    r"|python[\d.]*(?:\s+-[BWIXuE]\w*)*\s+-m\s+"
    r"|(?:\S*/)?bin/(?=\w)"
    r"|coverage\s+run(?:\s+-(?!m\b)\S+)*(?:\s+-m)?\s+(?=[\w./])"
    r")"
)
_KINDS = (
    (
        "lint",
        r"ruff(?!\s+(?:format\b(?!.*--check)|clean))\b|flake8\b|pylint\b|black\b.*--check|isort\b.*--check|pre-commit\s+run\b(?!\s+\w|.*--files)"
        r"|prek\s+run\b(?!.*--files)|eslint\b|biome\s+(?:check|lint|ci)|oxlint\b|stylelint\b|prettier\b.*(?:--check|\s-c\b)|xo\b|standard\b"
        r"|rubocop\b|golangci-lint\b|go\s+vet\b|staticcheck\b|cargo\s+clippy\b|mix\s+(?:format\s+--check|credo)|pint\b|phpcs\b"
        r"|(?:php\s+)?(?:vendor/bin/)?php-cs-fixer\b|shellcheck\b|djlint\b|pyflakes\b|pycodestyle\b|prospector\b"
        r"|standardrb\b|cargo\s+fmt\b.*--check|dotnet\s+format\b.*--verify-no-changes|(?:\./)?mvnw?\b.*\b(?:checkstyle|spotless):check\b"
        r"|(?:\./)?gradlew?\b.*\b(?:ktlintCheck|detekt|spotlessCheck|checkstyle\w*)\b",
    ),
    (
        "typecheck",
        r"mypy\b|dmypy\b|pyright\b|basedpyright\b|pyrefly\b|pytype\b|pyre\b|ty\s+check\b|zuban\b|vue-tsc\b|tsc\b(?=.*--?noEmit)"
        r"|mix\s+dialyzer\b|phpstan\b|psalm\b|srb\s+tc\b|sorbet\b|pre-commit\s+run\s+(?:mypy|pyright)\b",
    ),
    (
        "test",
        r"py\.?test\b|tox\b|nose2?\b|unittest\b|stestr\b|(?:python[\d.]*\s+(?:-\S+\s+)*)?(?:\S*/)?(?:manage\.py\s+test\b|run_?tests?\.py\b)"
        r"|django-admin\s+test\b|trial\b|ward\b|behave\b|zope-testrunner\b|python[\d.]*\s+(?:\S*/)?(?:run_?tests?|tests?/\w*run\w*)\.py"
        r"|python[\d.]*\s+(?:\S*/)?setup\.py\s+test|nox\b(?=.*\btest)|jest\b|vitest\b|mocha\b|ava\b|c8\b|node\s+--test"
        r"|go\s+test\b|gotestsum\b|cargo\s+(?:test|nextest)\b|mix\s+test\b|(?:php\s+artisan|\S*artisan)\s+test|(?:\./)?(?:vendor/bin/)?(?:phpunit|pest)\b"
        r"|coverage\s+run(?:\s+-\S+)*$|rails\s+(?:[\w:]+\s+)*test\b(?!:prepare)|rspec\b|rake(?:\s+(?:test|spec)\b(?!:prepare)|$)|(?:\./)?mvnw?\b.*\b(?:test|verify)\b"
        r"|(?:\./)?gradlew?\b(?!.*\s-x\s+test).*\b(?:test|check)\b|dotnet\s+test\b",
    ),
    (
        "build",
        r"build\b(?!-)|pyproject-build\b|(?:uv|poetry|hatch|pdm|flit)\s+build\b|python[\d.]*\s+setup\.py\s+(?:\S+\s+)*(?:sdist|bdist_wheel)"
        r"|vite\s+build\b|webpack\b|next\s+build\b|rollup\b|go\s+build\b|cargo\s+build\b|mix\s+release\b"
        r"|python[\d.]*\s+(?:\S*/)?manage\.py\s+tailwind\s+build\b|(?:\./)?mvnw?\b.*\bpackage\b"
        r"|(?:\./)?gradlew?\b.*\b(?:build|assemble)\b|dotnet\s+(?:build|publish)\b|tsc\b(?!.*--?noEmit)",
    ),
)
_BY_KIND = tuple((kind, re.compile(rf"(?:{pattern})")) for kind, pattern in _KINDS)
_SCRIPT = re.compile(
    r"(?:npm|pnpm|yarn|bun|make|just|poe|task)"
    r"(?:\s+(?:run|--(?:prefix|dir|cwd|filter)[\s=]\S+|-[FCf]\s+\S+|--?[\w-]+(?:=\S+)?))*\s+([\w:.-]+)"
)
_SERVICE = re.compile(  # without a command: what the service itself is for
    r"docker[- ]compose\s+(?:-\S+\s+(?:[\w./-]+\.ya?ml\s+)?)*run"
    r"(?:\s+(?:-[euvw]|--env|--user)\s+\S+|\s+(?!(?:-[euvw]|--env|--user)\s)-\S+)*\s+(\w[\w-]*)$"
)
_NOT_A_RUN = re.compile(
    r"\b(?:pip|pip3|uv|poetry|npm|apt-get|brew)\s+(?:add|install|sync|ci|tool)\b|--version\b|--help\b"
    r"|\bgradlew?\b.*\s--tests\s"  # a single class of tests
)
# A linter that changes the files is no check of them.
_MENDS = re.compile(
    r"\s--(?:fix(?:-only|-type\S*)?|write|apply(?:-unsafe)?|auto-?correct(?:-all)?|in-place)(?=\s|$)"
    r"|\brubocop\b.*\s-[aA](?=\s|$)|\bstandardrb\b.*\s--fix|\bprettier\b.*\s-w(?=\s|$)"
    r"|\bphp-cs-fixer\s+fix\b(?!.*--dry-run)|\bpint\b(?!.*--(?:test|dirty\s+--test))"
)
# What is in the database is gone afterwards. A test's own database is made to be thrown away.
_RESETS = re.compile(
    r"\bdb:(?:reset|drop|purge|setup)\b|\bmigrate:(?:fresh|reset|refresh)\b|\becto\.(?:reset|drop)\b"
    r"|\bmanage\.py\s+(?:flush|reset_db|sqlflush)\b|\bdropdb\b|\bdrop\s+database\b|\bprisma\s+migrate\s+reset\b"
    r"|\bdocker[- ]compose\b[^&;\n]*\bdown\b[^&;\n]*\s(?:-v|--volumes)\b",
    re.IGNORECASE,
)
_OF_TESTS = re.compile(r"(?i)test|\bCI\b")
_FRONT_END = re.compile(
    r"(?:cd\s+\S+\s*&&\s*)?(?:npx|npm|pnpm|yarn|bun|bunx|eslint|prettier|jest|vitest|tsc|stylelint|biome)\b"
)
_VARIABLE = re.compile(r"\$(?:\{([A-Za-z_]\w*)\}|([A-Za-z_]\w*))")
_ALWAYS_SET = frozenset({"HOME", "PWD", "USER", "PATH", "SHELL", "TMPDIR", "HOSTNAME", "RANDOM"})
_CHANGES_FOLDER = re.compile(r"(?:cd|pushd)\s+([\w./-]+)(?=\s*(?:$|&&|;))")
_COMPILER = re.compile(r"tsc\b")
_BUILDS_TESTED = re.compile(
    r"(?:\./)?gradlew?\b.*\sbuild\b|(?:\./)?mvnw?\b.*\s(?:package|install)\b"
)
_NO_TESTS = re.compile(r"-x\s+(?:test|check)\b|-D(?:skipTests|maven\.test\.skip)\b")
_HARMLESS = re.compile(r"\s*\|\|\s*(?:true|exit 0|:)\s*$")

_PARTIAL = re.compile(
    r"\s-(?:k|Dtest=\S+)\s|(?:pytest|rspec|phpunit|jest|vitest)\b(?:\s+-\S+)*"
    r"\s+(?!(?:[\w.-]+/)?tests?/?(?:\s|$))[\w.][\w./-]*(?:\s|$)"
)

NAMES = {
    "lint": (
        *(
            "lint",
            "lints",
            "linting",
            "check-lint",
            "lint-check",
            "lint-all",
            "lint-python",
            "lint-py",
            "lint-backend",
        ),
        *(
            "check-style",
            "style",
            "ruff",
            "flake8",
            "pylint",
            "code-quality",
            "check-quality",
            "static-analysis",
        ),
        *("quality", "code-check", "check-code"),
    ),
    "typecheck": (
        *(
            "typecheck",
            "type-check",
            "typechecks",
            "types",
            "check-types",
            "typing",
            "mypy",
            "pyright",
            "tc",
        ),
        *("check-typing", "type", "typecheck-python", "lint-types", "types-check"),
    ),
    "test": (
        *(
            "test",
            "tests",
            "test-all",
            "all-tests",
            "run-tests",
            "unittest",
            "unittests",
            "test-unit",
            "unit-test",
        ),
        *(
            "unit-tests",
            "pytest",
            "test-python",
            "test-py",
            "python-test",
            "python-tests",
            "py-test",
            "test-backend",
        ),
        *("backend-test", "unit"),
    ),
    "build": (
        *("build", "package", "dist", "build-package", "build-all", "build-dist", "wheel"),
        *("build-server", "build-backend", "build-app", "build-api"),
    ),
}
_KIND_OF = {
    name: (kind, place) for kind, names in NAMES.items() for place, name in enumerate(names)
}


def named_kind(name: str) -> tuple[str, int] | None:
    """(kind, distance from the plainest name) that a target's or script's name says, or None."""
    return _KIND_OF.get(re.sub(r"[_:. ]+", "-", name.lower().strip("-_")))


def without_prefix(command: str) -> str:
    """The command itself, after `uv run`, `docker compose run web`, variables, `cd x &&` and the
    like.
    """
    rest = command.strip()
    while found := _PREFIX.match(rest):
        rest = rest[found.end() :]
    return rest


def strip_excuse(command: str) -> str:
    """Without what makes a failure count as success."""
    return _HARMLESS.sub("", command.strip())


def commands_in(text: str) -> list[str]:
    """The single commands of lines such as `ruff check . && mypy app`."""
    found = []
    for part in re.split(r"&&|\|\||[;\n]", text):
        if part.strip():
            found.append(part.strip())
    return found


def checks_types(runs: str) -> bool:
    """Whether one of the commands checks types; beside a linter, the TypeScript compiler does
    nothing else.
    """
    return any(
        find_purpose(part) == "typecheck" or _COMPILER.match(without_prefix(part))
        for part in commands_in(runs)
    )


def is_partial(command: str) -> bool:
    """Whether a test command names some of the tests only."""
    return _PARTIAL.search(command) is not None


def runs_front_end(command: str) -> bool:
    """Whether it is a tool of a web front end; beside another language, that is not the
    application.
    """
    return _FRONT_END.match(command) is not None


def tests_as_well(command: str) -> bool:
    """Gradle's `build` and Maven's `package` run the tests first, unless they are told not to."""
    return (
        _BUILDS_TESTED.match(without_prefix(command)) is not None
        and _NO_TESTS.search(command) is None
    )


def changes_files(runs: str) -> bool:
    """Whether one of the commands changes the files that it looks at."""
    return any(_MENDS.search(part) for part in commands_in(runs))


def resets_database(runs: str) -> bool:
    """Whether one of the commands throws away a database that is not the tests' own."""
    return any(
        _RESETS.search(part) and not _OF_TESTS.search(part.partition("test:")[0])
        for part in commands_in(runs)
    )


def unset_variables(command: str) -> list[str]:
    """The variables without which a command means something else: neither set by every shell nor
    by the command itself. `${NAME:-default}` needs none.
    """
    found = [one[0] or one[1] for one in _VARIABLE.findall(re.sub(r"'[^']*'", "", command))]
    variables = []
    for name in found:
        if name not in _ALWAYS_SET and not re.search(rf"(?:^|[\s;]){name}=", command):
            variables.append(name)
    return variables


def folder_after(command: str) -> str:
    """The folder that `cd backend` or `cd backend && npm ci` leaves the following lines in."""
    found = _CHANGES_FOLDER.match(command)
    if not found:
        return ""
    return found[1]


def moved_to(folder: str, command: str) -> str:
    """Where the lines after a command run: in `folder`, or where the command went from there."""
    entered = folder_after(command)
    if not entered:
        return folder
    return posixpath.normpath(posixpath.join(folder, entered)).removeprefix("./")


def find_purpose(command: str) -> str | None:
    """lint, typecheck, test or build; None where the command is for something else, or cannot be
    run as written.
    """
    if _NOT_A_RUN.search(command) or "${{" in command or _MENDS.search(command):
        return None
    rest = without_prefix(strip_excuse(command))
    if script := _SCRIPT.match(rest) or _SERVICE.match(rest):
        named = named_kind(script[1])
        if not named:
            return None
        return named[0]
    built = re.search(r"-m\s+build\b", command)
    for kind, pattern in _BY_KIND:
        if pattern.match(rest) and (kind != "build" or not rest.startswith("build") or built):
            return kind
    return None
