"""The entry point: turns errors into words and an exit code, and `skillrun SKILL` into `skillrun run SKILL`."""

from __future__ import annotations

import sys

COMMANDS = ("run", "list", "show", "check", "spec", "detect", "status", "why", "next", "ledger", "demo")


def main(argv: list[str] | None = None) -> int:
    """Runs the command line and exits with the designed code; see `skillrun/errors.py`."""
    arguments = sys.argv[1:] if argv is None else argv
    if arguments and not arguments[0].startswith("-") and arguments[0] not in COMMANDS:
        arguments = ["run", *arguments]
    code = _run(arguments)
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _leave_pipe()
    sys.exit(code)


def _run(arguments: list[str]) -> int:
    from skillrun.errors import SkillrunError

    try:
        from skillrun.cli.app import invoke

        return invoke(arguments)
    except SkillrunError as error:
        _say(error)
        return error.exit_code
    except BrokenPipeError:
        _leave_pipe()
        return 0
    except KeyboardInterrupt:
        print("skillrun: interrupted; the same command resumes", file=sys.stderr)
        return 130
    except Exception:
        return _say_bug()


def _leave_pipe() -> None:
    from skillrun.reports.watchers import leave_pipe

    leave_pipe()


def _say(error: Exception) -> None:
    from skillrun.text import visible

    message = visible(str(error), limit=20_000, lines=True)
    for line in message.splitlines():
        print(f"skillrun: {line}", file=sys.stderr)
    hint = getattr(error, "hint", None)
    if hint:
        print(f"  do: {visible(hint, limit=2_000)}", file=sys.stderr)


def _say_bug() -> int:
    """Our bug keeps its traceback, and has an exit code that no outcome has."""
    import traceback

    from skillrun.errors import SkillrunError

    traceback.print_exc()
    print("skillrun: this is a bug in skillrun; the ledger keeps what was recorded before", file=sys.stderr)
    return SkillrunError.exit_code


if __name__ == "__main__":
    main()
