"""The entry point: turns errors into words and an exit code, and `skillrun SKILL` into `skillrun
run SKILL`.
"""

# Nothing is imported above these lines but what is built into Python, not even `__future__`:
# `python -m skillrun` is started with the working directory first on its path, and in a clone that
# holds a `typer.py` or a `json.py` that would be run. Python's own start has looked there already
# (`importlib`, `contextlib`): `skillrun` and `python -P -m skillrun` do not look at all.
import errno
import sys

if __name__ == "__main__" and not sys.flags.safe_path:
    del sys.path[0]

_HELP = {"-h", "--help"}
_NO_ROOM = (errno.ENOSPC, errno.EIO, errno.EDQUOT)
# Characters of a message that are looked at.
_LONGEST_MESSAGE = 40_000
# Any other first word is the name of a skill.
COMMANDS = (
    *(
        "run",
        "list",
        "show",
        "check",
        "rules",
        "spec",
        "detect",
        "prove",
        "verify",
        "status",
        "why",
        "next",
        "ledger",
    ),
    *("jobs", "install", "uninstall", "mcp", "hook", "doctor", "demo", "trust", "baseline"),
    *("comment", "lint"),
)


def main(argv: list[str] | None = None) -> int:
    """Runs the command line and exits with the designed code; see `skillrun/core/errors.py`."""
    arguments = sys.argv[1:] if argv is None else argv
    # An agent starts this on every tool call: nothing else is read.
    if arguments[:1] == ["hook"] and not _HELP & {*arguments}:
        from skillrun.agents.hooks.entry import main as hook

        sys.exit(hook(arguments[1:]))
    if arguments and not arguments[0].startswith("-") and arguments[0] not in COMMANDS:
        arguments = ["run", *arguments]
    code = _run(arguments)
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _leave_pipe()
    except OSError as error:
        code = _say_unwritable(error)
    sys.exit(code)


def _run(arguments: list[str]) -> int:
    from skillrun.core.errors import SkillrunError

    try:
        return _invoke_command(arguments)
    except SkillrunError as error:
        _say(error, _meant(arguments))
        return error.exit_code
    except BrokenPipeError:
        _leave_pipe()
        return 0
    except KeyboardInterrupt:
        does = "begins again" if arguments[:1] in (["prove"], ["verify"]) else "resumes"
        print(f"skillrun: interrupted; the same command {does}", file=sys.stderr)
        # A Ctrl-C inside an `exec` of a string (a dataclass being made) makes `python -m` die of
        # the signal at its end, whatever its code: `unhandled_keyboard_interrupt` in CPython's
        # Modules/main.c. The next `exec` takes it back.
        exec("")
        return 130
    except OSError as error:
        if error.errno in _NO_ROOM:
            return _say_unwritable(error)
        return _say_unforeseen()
    except Exception:
        return _say_unforeseen()


def _invoke_command(arguments: list[str]) -> int:
    # A hook calls it before each commit: typer alone takes a fifth of its time.
    if arguments[:1] == ["lint"]:
        from skillrun.cli.plain_lint import lint_plainly

        code = lint_plainly(arguments[1:])
        if code is not None:
            return code
    from skillrun.cli.app import invoke

    return invoke(arguments)


def _say_unwritable(error: OSError) -> int:
    """Stdout takes nothing more; what was recorded is in the ledger."""
    print(f"skillrun: the output cannot be written: {error.strerror}", file=sys.stderr)
    print("  do: make room, then: skillrun status", file=sys.stderr)
    _leave_pipe()
    return 1


def _leave_pipe() -> None:
    from skillrun.reports.watchers import leave_pipe

    leave_pipe()


def _meant(arguments: list[str]) -> str | None:
    """The command that a word which is no skill was perhaps meant to be."""
    import difflib

    if arguments[:1] != ["run"] or len(arguments) < 2:
        return None
    return next(iter(difflib.get_close_matches(arguments[1], COMMANDS, n=1, cutoff=0.7)), None)


def _say(error: Exception, meant: str | None = None) -> None:
    from skillrun.core.text import masked, visible

    message = visible(masked(str(error)[:_LONGEST_MESSAGE]), limit=20_000, lines=True)
    for line in message.splitlines():
        print(f"skillrun: {line}", file=sys.stderr)
    hint = getattr(error, "hint", None)
    if meant and "no skill named" in message:
        hint = f"did you mean: skillrun {meant}? Or: {hint}"
    if hint:
        print(f"  do: {visible(masked(hint), limit=2_000)}", file=sys.stderr)


def _say_unforeseen() -> int:
    """Where a ledger was changed by hand, that; else our bug keeps its traceback, and a code that
    no outcome has.
    """
    import traceback

    from skillrun.core.errors import SkillrunError

    if "skillrun.ledger.connection" in sys.modules:
        from skillrun.ledger.tampered import find_tampered_ledger

        if (found := find_tampered_ledger()) is not None:
            _say(found)
            return found.exit_code
    traceback.print_exc()
    print(
        "skillrun: this is a bug in skillrun; the ledger keeps what was recorded before",
        file=sys.stderr,
    )
    return SkillrunError.exit_code


if __name__ == "__main__":
    main()
