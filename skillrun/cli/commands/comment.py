"""`skillrun comment`: a verification as the one comment of its pull request."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from skillrun.core.errors import Misuse, Refused
from skillrun.core.text import masked_json, visible

_MOST = 50_000_000  # bytes of a verification
_RIGHTS = "pull-requests: write"


def write_comment(file: Path, dry_run: bool) -> int:
    """Writes it, or says in one line why there is none; exit code 1 where the API failed.

    That a token may not write is no failure: a fork's pull request has no other.
    """
    found = _read_verification(file)
    if dry_run:
        return _print_markdown(found)
    from skillrun.wall.commenting.api import Api, ApiProblem, NoRights
    from skillrun.wall.commenting.keep import COMMENT_MOST, keep_comment
    from skillrun.wall.commenting.pull_request import find_pull_request
    from skillrun.wall.formats.markdown import write_markdown

    request = find_pull_request(os.environ)
    if isinstance(request, str):
        return _say_line(f"no comment: {request}")
    token = os.environ.get("GITHUB_TOKEN")
    if not token:
        return _say_line(f"no comment: there is no GITHUB_TOKEN (it needs {_RIGHTS})")
    api = Api(request.api, token)
    try:
        done = keep_comment(api, request, write_markdown(found, COMMENT_MOST), time.sleep)
    except NoRights as problem:
        why = f"the token needs {_RIGHTS}"
        if request.is_fork:
            why = "the token of a fork's pull request may only read"
        return _say_line(f"no comment: {problem} ({why}); the summary of the run has it")
    except ApiProblem as problem:
        print(f"skillrun: no comment: {problem}", file=sys.stderr)
        return 1
    return _say_line(f"the comment of pull request {request.number}: {done}")


def _say_line(text: str) -> int:
    print(text)
    return 0


def _print_markdown(found: dict[str, Any]) -> int:
    from skillrun.reports.watchers import show
    from skillrun.wall.formats.markdown import SUMMARY_MOST, write_markdown

    show(write_markdown(found, SUMMARY_MOST).rstrip("\n"))
    return 0


def _read_verification(file: Path) -> dict[str, Any]:
    """The document, with what looks like a secret masked: it may come from another machine.

    Raises Misuse where there is no file, Refused where it is no verification.
    """
    import jsonschema

    from skillrun.core.opening import read_json
    from skillrun.core.resources import resource

    hint = "write one with: skillrun verify --format json --output FILE"
    try:
        value = read_json(file, _MOST)
    except FileNotFoundError as error:
        raise Misuse(f"{visible(str(file))}: there is no such file", hint=hint) from error
    except (OSError, ValueError) as error:
        raise Refused(f"{visible(str(file))}: {error}", hint=hint) from error
    schema = json.loads(resource("schemas", "verification.v1.json").read_text("utf-8"))
    for problem in jsonschema.Draft202012Validator(schema).iter_errors(value):
        what = visible(problem.message, 200)
        raise Refused(f"{visible(str(file))}: no verification: {what}", hint=hint)
    found: dict[str, Any] = masked_json(value)
    return found
