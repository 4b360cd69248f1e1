"""Which pull request a pipeline of GitHub runs for, read from what the runner says of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from skillrun.core.opening import read_json

_API = "https://api.github.com"
_REPOSITORY = re.compile(r"[A-Za-z0-9_.-]{1,100}/[A-Za-z0-9_.-]{1,100}")
_SHA = re.compile(r"[0-9a-f]{40,64}")
_MOST = 20_000_000  # bytes of an event: GitHub sends up to 25 MB, most are some 20 kB


@dataclass(frozen=True)
class PullRequest:
    """One pull request, and where its comments are kept."""

    repository: str  # owner/name
    number: int
    head: str  # the commit for which the pipeline began
    is_fork: bool
    api: str
    run_url: str | None  # the pipeline's own page


def find_pull_request(env: Mapping[str, str]) -> PullRequest | str:
    """The pull request, or why there is none."""
    repository = env.get("GITHUB_REPOSITORY", "")
    event_path = env.get("GITHUB_EVENT_PATH")
    if event_path is None or not _REPOSITORY.fullmatch(repository):
        return "this is no pipeline of GitHub: GITHUB_EVENT_PATH and GITHUB_REPOSITORY name one"
    try:
        event = read_json(Path(event_path), _MOST)
        return _read_event(event, repository, env)
    except (OSError, ValueError) as error:
        return f"the event of this pipeline cannot be read: {error}"
    except (KeyError, TypeError):
        return "this pipeline does not run for a pull request"


def _read_event(event: Any, repository: str, env: Mapping[str, str]) -> PullRequest:
    """Raises KeyError or TypeError where it is no event of a pull request."""
    found = event["pull_request"]
    number, head = found["number"], found["head"]["sha"]
    if type(number) is not int or not _SHA.fullmatch(head):
        raise TypeError
    source = found["head"]["repo"] or {}
    return PullRequest(
        repository=repository,
        number=number,
        head=head,
        is_fork=source.get("full_name") != repository,
        api=env.get("GITHUB_API_URL") or _API,
        run_url=_find_run(repository, env),
    )


def _find_run(repository: str, env: Mapping[str, str]) -> str | None:
    server, run = env.get("GITHUB_SERVER_URL", ""), env.get("GITHUB_RUN_ID", "")
    if re.fullmatch(r"https?://[A-Za-z0-9.:-]+", server) and run.isdigit():
        return f"{server}/{repository}/actions/runs/{run}"
    return None
