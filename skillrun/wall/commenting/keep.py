"""The one comment of a pull request, kept up to date: written once, then edited, and never by an
older run over a newer one.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from skillrun.wall.commenting.api import Api, ApiProblem, Gone, Passing
from skillrun.wall.commenting.pull_request import PullRequest

MARK = "<!-- skillrun:verification -->"
"""How the comment begins, by which it is found again."""

COMMENT_MOST = 60_000
"""Characters that a comment is made of; GitHub takes 65,536, and ours gets a line more."""

_TRIES = 4
_FIRST_WAIT_S = 2.0
# A pipeline is paid by the minute: what a limit holds back longer is left out.
_LONGEST_WAIT_S = 60.0
_MOST_PAGES = 50


def keep_comment(
    api: Api, request: PullRequest, markdown: str, wait: Callable[[float], None]
) -> str:
    """Writes or edits it, and says which. Raises ApiProblem.

    What has failed is begun anew from the list of comments: a comment whose answer was lost is
    there, and would be written twice otherwise.
    """
    body = _write_body(request, markdown)
    pause = _FIRST_WAIT_S
    for tries_left in reversed(range(_TRIES)):
        try:
            return _keep_once(api, request, body)
        except (KeyError, TypeError, AttributeError) as error:
            said = "the API answered something else than pull requests and comments"
            raise ApiProblem(said) from error
        except Passing as problem:
            wait_s = pause if problem.wait_s is None else problem.wait_s
            if not tries_left or wait_s > _LONGEST_WAIT_S:
                raise _tell_given_up(problem) from problem
            wait(wait_s)
            pause *= 2
    raise AssertionError("the last try returns or raises")


def _tell_given_up(problem: Passing) -> ApiProblem:
    if problem.wait_s is not None and problem.wait_s > _LONGEST_WAIT_S:
        return ApiProblem(f"{problem}, for {problem.wait_s / 60:.0f} more minutes")
    return ApiProblem(f"{problem}, {_TRIES} times")


def _write_body(request: PullRequest, markdown: str) -> str:
    where = ""
    if request.run_url is not None:
        where = f"\n\n[All of it, in the run that wrote this]({request.run_url})"
    return f"{MARK}\n{markdown.rstrip()}{where}\n"


def _keep_once(api: Api, request: PullRequest, body: str) -> str:
    place = f"/repos/{request.repository}"
    comments = f"{place}/issues/{request.number}/comments"
    # Runs of two pushes overtake each other: what the older one found is no longer true.
    newer = _find_newer_head(api, request)
    if newer is not None:
        return _tell_left_alone(newer)
    own = _list_own(api, comments)
    if own:
        return _keep_oldest(api, place, own, body)
    written = api.ask("POST", comments, {"body": body}).value
    # Another run may have found none at the same moment: both look again, and keep the same one.
    own = _list_own(api, comments)
    if len(own) < 2:
        return "written"
    newer = _find_newer_head(api, request)
    if newer is not None:
        # The newer run may have taken it for its own, as the oldest: then it says what is true now.
        for comment in _list_own(api, comments):
            if comment["id"] == written["id"] and comment["body"] == body:
                _delete_comment(api, place, written)
        return _tell_left_alone(newer)
    _keep_oldest(api, place, own, body)
    return "written"


def _find_newer_head(api: Api, request: PullRequest) -> str | None:
    """The pull request's commit, where it is another one by now."""
    now = api.ask("GET", f"/repos/{request.repository}/pulls/{request.number}").value
    head: str = now["head"]["sha"]
    if head == request.head:
        return None
    return head


def _tell_left_alone(newer: str) -> str:
    return f"left alone: the pull request has a newer commit, {newer[:12]}"


def _keep_oldest(api: Api, place: str, own: list[dict[str, Any]], body: str) -> str:
    """Gives the oldest of our comments the body, and removes the others; says which it was."""
    first, *others = sorted(own, key=lambda comment: comment["id"])
    if first["body"] != body:
        try:
            api.ask("PATCH", f"{place}/issues/comments/{first['id']}", {"body": body})
        except Gone as problem:
            # Another run has removed it by now: whoever looks again finds none, and writes one.
            raise Passing(str(problem)) from problem
    for other in others:
        _delete_comment(api, place, other)
    return "kept as it is" if first["body"] == body else "brought up to date"


def _delete_comment(api: Api, place: str, comment: dict[str, Any]) -> None:
    """Removes one of our comments, unless another run has done so by now."""
    with suppress(Gone):
        api.ask("DELETE", f"{place}/issues/comments/{comment['id']}")


def _list_own(api: Api, path: str) -> list[dict[str, Any]]:
    """Our comments, the oldest first. One that a person has written with our mark in it is not
    ours, unless the token is that person's.
    """
    marked = []
    for page in range(1, _MOST_PAGES + 1):
        answer = api.ask("GET", f"{path}?per_page=100&page={page}")
        for comment in answer.value:
            # GitHub gives back what a browser would send: with carriage returns.
            text = (comment["body"] or "").replace("\r\n", "\n")
            if text.startswith(MARK):
                marked.append({**comment, "body": text})
        if not answer.has_next:
            break
    # Whose token it is costs a request, and matters only where a person may be its owner.
    if not marked or all(map(_is_by_bot, marked)):
        return marked
    me = _find_login(api)
    return [comment for comment in marked if _is_by_bot(comment) or _is_by(comment, me)]


def _is_by_bot(comment: dict[str, Any]) -> bool:
    return bool((comment["user"] or {}).get("type") == "Bot")


def _is_by(comment: dict[str, Any], login: str | None) -> bool:
    return login is not None and bool((comment["user"] or {}).get("login") == login)


def _find_login(api: Api) -> str | None:
    """Whose token it is; None for one of a pipeline, which is nobody's."""
    try:
        login: str = api.ask("GET", "/user").value["login"]
    except Passing:
        raise
    except ApiProblem:
        return None
    return login
