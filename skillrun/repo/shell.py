"""What a shell command is for: linting, type checking, testing or building."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection, Container, Iterable, Iterator

from skillrun.repo.always_run import list_always_run

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
# A linter that changes the files is no check of them. Words of a call count as well:
# `session.run("eslint", "--fix")`.
_MENDS = re.compile(
    r"[\s'\"]--(?:fix(?:-only|-type\S*)?|write|apply(?:-unsafe)?|auto-?correct(?:-all)?|in-place|reformat)"
    r"(?=[\s'\"]|$)"
    r"|\brubocop\b.*\s-[aAx](?=\s|$)|\bstandardrb\b.*\s--fix|\bprettier\b.*\s-w(?=\s|$)"
    r"|\bphp-cs-fixer\s+fix\b(?!.*--dry-run)|(?:^[\s@]*|bin/|\b(?:sail|exec|php)\s+)pint(?=\s|$)(?!.*--test)"
    r"|\b(?:gofmt|gofumpt|goimports|shfmt)\b.*\s-w(?=\s|$)|\bclang-format\b.*\s-i(?=\s|$)"
    # Its letters may stand together: `autopep8 -ir`.
    r"|\b(?:autopep8|autoflake|yapf|docformatter)\b.*\s-[a-hj-z]*+i[a-z]*+(?=\s|$)"
    r"|\bspotless:apply\b|\bspotlessApply\b|\bktlintFormat\b|\bktlint\b.*\s-F(?=\s|$)"
    r"|\b(?:sqlfluff|markdownlint(?:-cli2)?)\s+fix\b|\b(?:codespell|erlfmt"
    r"|buf\s+format)\b.*\s-w(?=\s|$)"
    r"|\btoml-sort\b.*\s-i(?=\s|$)|\bunimport\b.*\s-r(?=\s|$)|\bscalafmtAll\b|\brewriteRun\b"
    # What a test is compared with is written anew: such a test fails of nothing.
    r"|\b(?:jest|vitest|playwright|ava|tap)\b.*\s(?:-u|--update(?:-?[Ss]napshots?)?)(?=[\s=]|$)"
    r"|\s--(?:snapshot-update|force-regen|update-goldens?)\b"
    r"|\s--inline-snapshot=\S*(?:create|fix|trim|update)|\bINSTA_UPDATE=(?:always|unseen|1)\b"
    r"|\bcargo\s+insta\s+accept\b|\bcargo\s+insta\b.*\s--accept\b"
)
# `ruff check --fix --diff` shows what it would change.
_SHOWS_ONLY = re.compile(r"\s--(?:check|diff|dry-run)(?=\s|$)")
# What formats the files unless it is told to compare only.
_FORMATTER = re.compile(
    r"(?:(?:nbqa\s+)?black|blue|darker|isort|ruff\s+format|(?:ufmt|usort|hatch)\s+(?:format|fmt)"
    r"|mdformat|yamlfix"
    r"|pyproject-fmt|ssort|flynt|add-trailing-comma|cargo\s+fmt|rustfmt|mix\s+format"
    r"|dotnet\s+format"
    r"|terraform\s+fmt|golangci-lint\s+fmt|go\s+mod\s+tidy|(?:deno|dprint|taplo|trunk)\s+(?:fmt"
    r"|format)"
    r"|dart\s+format|swiftformat|rector(?:\s+process)?)(?=\s|$)"
)
# A letter means something else with each of them: `ruff format -n` caches nothing, `yamlfix -c`
# takes a configuration, and `terraform fmt -diff` writes as well.
_ONLY_COMPARES = re.compile(
    r"\s(?:--check(?:-only|-formatted)?|--diff|--verify-no-changes|-check|--lint|--dry-run"
    r"|--set-exit-if-changed|--output[= ]none|-o[= ]?none)(?=[\s=]|$)|\bdprint\s+check\b"
    r"|^(?:isort\b.*\s-c|rector\b.*\s-n|(?:flynt|golangci-lint)\b.*\s-d"
    r"|go\s+mod\b.*\s-diff)(?=\s|$)"
)
# `npm run check:format` is a check, by whatever it formats.
_NO_CHECK = r"(?!(?:check|verify|validate|test|diff)[:-](?:re)?(?:format|fmt)(?=\s|$))"
_ALWAYS_FORMATS = re.compile(
    r"(?:phpcbf|pyupgrade|go\s+fmt|cargo\s+fix)(?=\s|$)"
    # `npm run lint:fix`, `poe format`, `tox -e format`: a script of that name, wherever it stands.
    r"|(?:(?:npm|pnpm|yarn|bun|make|just|poe|task)\s+(?:run\s+)?|(?:tox|nox)\s+(?:run\s+)?-[es]\s*)"
    rf"{_NO_CHECK}(?:\w+[:-])?(?:(?:auto)?fix|format|fmt|reformat)(?=\s|$)"
    # What is left of `hatch run lint:fmt`.
    rf"|{_NO_CHECK}\w+:(?:fmt|format|fix)(?=\s|$)"
)
# With its own options before the subcommand; an option of another one (`run --rm`) is none.
_COMPOSE_VALUE = (
    r"(?:-[fpcH]|--(?:file|project-name|project-directory|profile|env-file|ansi|parallel|progress"
    r"|context|host|log-level))\s+"
)
_COMPOSE = (
    rf"\bdocker[- ]compose(?:\s+(?:{_COMPOSE_VALUE}(?:\"[^\"]*\"|'[^']*'|[^\s\"']\S*)"
    rf"|(?!{_COMPOSE_VALUE})-\S+))*\s+"
)
# What is in the database is gone afterwards. A test's own database is made to be thrown away.
_RESETS = re.compile(
    r"\bdb:(?:reset|drop|purge|setup)\b|\bmigrate:(?:fresh|reset|refresh)\b|\becto\.(?:reset|drop)\b"
    r"|\bmanage\.py\s+(?:flush|reset_db|sqlflush)\b|\bdropdb\b|\bdrop\s+database\b|\bprisma\s+migrate\s+reset\b"
    rf"|{_COMPOSE}(?:down|rm)\s(?:[^&;\n]*\s)?(?:-\w*v\w*|--volumes)(?=[\s=]|$)"
    r"|\bdocker\s+volume\s+(?:rm|prune)\b"
    # Migrations that are taken back take their columns and tables with them.
    r"|\b(?:alembic|aerich|flask\s+db|manage\.py\s+db)\b[^&;\n]*\sdowngrade\b|\bmigrate:rollback\b"
    r"|\bmanage\.py\s+migrate\s+\S+\s+zero\b|\becto\.rollback\b|\bgoose\b[^&;\n]*\s(?:reset"
    r"|down-to)\b"
    r"|\b(?:sqlx|diesel|supabase|dbmate)\s+(?:(?:database|db)\s+)?(?:reset|drop)\b|\breset_schema\b"
    r"|\bdoctrine:(?:database|schema):drop\b|\btypeorm\b[^&;\n]*\sschema:drop\b"
    r"|\bprisma\s+db\s+push\b[^&;\n]*--force-reset\b|\bdotnet\s+ef\s+database\s+drop\b"
    # Words of SQL count where a database's own program gets them.
    r"|\b(?:psql|mysql|mariadb|sqlite3)\b[^&\n]*\b(?:drop\s+(?:schema|table)|truncate"
    r"|delete\s+from)\b"
    r"|\bmysqladmin\b[^&;\n]*\sdrop\b|\bredis-cli\b[^&;\n]*\sflush(?:all|db)\b|\bdropDatabase\("
    r"|(?<![\w-])rm\s+(?:-\w+\s+)*\S*\.sqlite3?\b",
    re.IGNORECASE,
)
# As a word of its own, as in `shop_test` and RAILS_ENV=test: `latest` is no test.
_OF_TESTS = re.compile(r"(?i)(?<![a-z])(?:tests?|testing|testdb|dbtest)(?![a-z])|\bCI\b")
_FRONT_END = re.compile(
    r"(?:cd\s+\S+\s*&&\s*)?(?:npx|npm|pnpm|yarn|bun|bunx|eslint|prettier|jest|vitest|tsc|stylelint|biome)\b"
)
_VARIABLE = re.compile(r"\$(?:\{([A-Za-z_]\w*)\}|([A-Za-z_]\w*))")
ALWAYS_SET = frozenset(
    {
        *("HOME", "PWD", "USER", "PATH", "SHELL", "TMPDIR", "HOSTNAME", "RANDOM"),
        # What make sets, and a search path, which may as well be empty.
        *("MAKE", "CURDIR", "MAKEFLAGS", "MAKEFILE_LIST", "MAKECMDGOALS", "RM", "CC", "CXX"),
        "PYTHONPATH",
    }
)
# `${DB_HOST:?not set}` and `${1:?usage: ...}`
_ENDS_IF_UNSET = re.compile(r"\$\{(\w+):?\?")
# `source .env`, also as `[ -f .env ] && . ./.env`.
_READS_FILE = re.compile(r"(?m)(?:^|[;&|]|\bthen\b)\s*(?:source|\.)\s")
# `[ $# -gt 0 ]`, `[ -n "$1" ]`: the script knows what to do without one.
_TESTS_ARGUMENTS = re.compile(r"\$#|(?:\[|\btest\s)[^\]\n]*\$\{?1")
_ARGUMENT = re.compile(r"\$(?:\{(?=[1-9]\}))?([1-9])\}?")
_DEFINES_FUNCTION = re.compile(
    r"(?m)^\s*(?:function\s+[\w-]+|[\w-]+\s*\(\))\s*(?:\(\)\s*)?(?:\{|$)"
)
# `$$NAME` and `$${NAME}` of a recipe; `$${NAME:-default}` needs none.
_SHELL_VARIABLE = re.compile(r"\$\$(?:\{([A-Za-z_]\w*)\}|([A-Za-z_]\w*))")
_MAKE_VARIABLE = re.compile(r"\$[({]([\w.-]+)[)}]")
_SINGLE_QUOTED = re.compile(r"'[^']*'")
_LAST_PART = re.compile(r"[\w./-]+/\$[({][\w.-]+[)}]")
_IF_UNSET = re.compile(r"\$[({](?:or|and|if|filter|filter-out)\s(?:[^(){}]|[({][^(){}]*[)}])*[)}]")
# What looks whether something is set needs nothing, and what prints changes nothing.
_ASKS = re.compile(
    r"[@-]*(?:if|elif|then|else|fi|\[|test\s|case|esac|while|echo|printf)(?=\s|$|\[)"
)
# By its name what somebody adds to the command: `pytest -v $(PYTEST_ARGS)`.
_PASSED_ON = re.compile(r"(?i)(?:args?|opts?|options|flags|params|extras?|verbos\w*)$")
_FLAGS = frozenset({"--verbose", "--quiet", "--cov", "--exitfirst", "--pdb", "--lf", "--", "--fix"})
# pytest's -k, -m, -n, -c and -p, and a container's -e, -u, -f and -w.
_SHORT_WITH_VALUE = frozenset({"-k", "-m", "-n", "-c", "-p", "-e", "-u", "-f", "-w"})
# `cd backend`, `cd "backend"`, and below the checkout: `cd $GITHUB_WORKSPACE/backend`.
_CHECKOUT = r"\$\{?(?:GITHUB_WORKSPACE|CI_PROJECT_DIR|BITBUCKET_CLONE_DIR|WORKSPACE|PWD)\}?/"
_CHANGES_FOLDER = re.compile(rf"(?:cd|pushd)\s+([\"']?)({_CHECKOUT})?([\w./-]+)\1(?=\s*(?:$|&&|;))")
_GOES_BACK = re.compile(r"(?:popd|cd\s+-)(?=\s*(?:$|&&|;))")
_COMPILER = re.compile(r"tsc\b")
_BUILDS_TESTED = re.compile(
    r"(?:\./)?gradlew?\b.*\sbuild\b|(?:\./)?mvnw?\b.*\s(?:package|install)\b"
)
_NO_TESTS = re.compile(r"-x\s+(?:test|check)\b|-D(?:skipTests|maven\.test\.skip)\b")
_RUN_CALL = re.compile(r"\w+\.run\((.*)\)$")
_HARMLESS = re.compile(r"(?<!\s)\s*+\|\|\s*+(?:true|exit 0|:)\s*+$")
# What nobody wrote by hand, and what takes long to read.
_LONGEST_COMMAND = 10_000

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
    return any(_changes_what_it_reads(part) for part in commands_in(runs))


def _changes_what_it_reads(command: str) -> bool:
    if len(command) > _LONGEST_COMMAND or _mends_files(command):
        return True
    words = without_prefix(_spell_call(command))
    if _ALWAYS_FORMATS.match(words):
        return True
    return _FORMATTER.match(words) is not None and not _ONLY_COMPARES.search(words)


def _mends_files(command: str) -> bool:
    return _MENDS.search(command) is not None and not _SHOWS_ONLY.search(command)


def _spell_call(command: str) -> str:
    """`session.run("black", ".")` of a session's or task's code as the shell would have it."""
    called = _RUN_CALL.match(command)
    if not called:
        return command
    return " ".join(re.findall(r"[^\s'\",]+", called[1]))


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
        is_added = _PASSED_ON.search(name) is not None
        if name not in ALWAYS_SET and not is_added and not _sets_variable(command, name):
            variables.append(name)
    return variables


def unset_in_script(lines: list[str]) -> list[str]:
    """The variables and arguments that a script's checks need and that it sets nowhere. What it
    reads from another file may set any.
    """
    text = "\n".join(lines)
    if _READS_FILE.search(text):
        return []
    # `: "${DB_HOST:?not set}"` ends the script, where it comes to that line.
    names = _ENDS_IF_UNSET.findall("\n".join(list_always_run(lines)))
    for line in lines:
        if find_purpose(line):
            names += unset_variables(line)
            names += _needed_arguments(line, text)
    return [name for name in names if not _sets_variable(text, name)]


def _needed_arguments(line: str, text: str) -> list[str]:
    """The arguments of a script (`$1`) without which a line of it means something else; those of a
    function in it are the function's.
    """
    if _DEFINES_FUNCTION.search(text) or re.search(r"(?m)^\s*set\s+--\s", text):
        return []
    if _TESTS_ARGUMENTS.search(text):
        return []
    return unset_placeholders(line, _ARGUMENT)


def unset_placeholders(command: str, pattern: re.Pattern[str]) -> list[str]:
    """The names that a pattern finds in a command, of those that may not be left out: the program,
    an option's value, and a part of a word. `pytest $1` without it runs all.
    """
    needed = []
    before = ""
    for word in command.split():
        bare = word.strip("@\"'")
        for name in pattern.findall(word):
            is_whole = pattern.fullmatch(bare) is not None
            is_added = is_whole and before != "" and not _takes_value(before, name)
            if not is_added and _PASSED_ON.search(name) is None:
                needed.append(name)
        before = word
    return needed


def unset_in_task(
    runs: str, known: Collection[str] = (), placeholder: re.Pattern[str] | None = None
) -> list[str]:
    """The variables that the lines of a task runner's task need, and that neither they nor the
    runner's settings (`known`) set. `placeholder`: how the runner itself writes one, besides `$X`.
    """
    names = unset_variables(runs) + _ENDS_IF_UNSET.findall(runs)
    if placeholder is not None:
        for line in runs.splitlines():
            names += unset_placeholders(line, placeholder)
    unset: list[str] = []
    for name in names:
        if name not in {*known, *ALWAYS_SET, *unset} and not _sets_variable(runs, name):
            unset.append(name)
    return unset


def needed_variables(lines: Iterable[str], known: Container[str] = ()) -> list[str]:
    """The variables that nothing sets and without which a recipe's lines mean something else.
    `known`: what is set around the lines. make writes `$(NAME)` and, for the shell's own, `$$NAME`.
    """
    text = "\n".join(lines)
    needed = []
    for line in commands_in(text):
        if _ASKS.match(line):
            continue
        for name in (*_variables_needed_by(line), *_ENDS_IF_UNSET.findall(line)):
            is_set = name in known or name in ALWAYS_SET or _sets_variable(text, name)
            if not is_set and name not in needed:
                needed.append(name)
    return needed


def _variables_needed_by(line: str) -> Iterator[str]:
    """A shell's variable is needed. make's may be left out where it is a word of its own, as in
    `pytest $(ARGS)`, but neither as the program nor as an option's value.
    """
    before = ""
    # What stands in single quotes is no shell's variable, and `$(or ...)` is for one that is unset.
    for word in _IF_UNSET.sub("", _SINGLE_QUOTED.sub("", line)).split():
        bare = word.strip("@\"'")
        for braced, plain in _SHELL_VARIABLE.findall(word):
            yield braced or plain
        for name in _MAKE_VARIABLE.findall(word):
            whole = _MAKE_VARIABLE.fullmatch(bare)
            # `pytest tests/$(PART)` runs all of them where it is unset.
            if before and _LAST_PART.fullmatch(bare):
                continue
            if not whole or not before or _takes_value(before, name):
                yield name
        before = word


def _takes_value(option: str, name: str) -> bool:
    """Whether the word before a variable is an option whose value it is."""
    if "=" in option or _PASSED_ON.search(name):
        return False
    if option.startswith("--"):
        return option not in _FLAGS
    return option in _SHORT_WITH_VALUE


def _sets_variable(text: str, name: str) -> bool:
    """Whether the lines give it a value themselves: `NAME=1`, `for NAME in`, `read NAME`,
    `${NAME:=1}`.
    """
    setting = (
        rf"(?:^|[\s;(]){name}=|\bfor\s+{name}\s+in\b|\bread\s+(?:-\w+\s+)*{name}\b"
        rf"|\$\{{{name}:?="
    )
    return re.search(setting, text) is not None


def folder_after(command: str) -> str:
    """The folder that `cd backend` or `cd backend && npm ci` leaves the following lines in."""
    found = _CHANGES_FOLDER.match(command)
    if not found:
        return ""
    return found[3]


def _starts_at_checkout(command: str) -> bool:
    """Whether `cd` names the checkout itself, so that it does not matter where it was."""
    found = _CHANGES_FOLDER.match(command)
    return found is not None and found[2] is not None


def moved_to(folder: str, command: str) -> str:
    """Where the lines after a command run: in `folder`, or where the command went from there."""
    entered = folder_after(command)
    if _GOES_BACK.match(command):
        return ""
    if not entered:
        return folder
    if _starts_at_checkout(command):
        folder = ""
    return posixpath.normpath(posixpath.join(folder, entered)).removeprefix("./")


def find_purpose(command: str) -> str | None:
    """lint, typecheck, test or build; None where the command is for something else, or cannot be
    run as written.
    """
    if len(command) > _LONGEST_COMMAND or "${{" in command:
        return None
    if _NOT_A_RUN.search(command) or _mends_files(command):
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
