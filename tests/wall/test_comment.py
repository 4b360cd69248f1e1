"""`skillrun comment` against a server that stands for GitHub's API: one comment, whatever fails, and
one line where there is none.
"""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import helpers
import pytest
from github_stand_in import HEAD, PERSON, TOKEN, Failure, GitHub, serve_github
from test_formats import CHEATED, COMMIT, LOOKED, PASSED, VERIFICATIONS, made

from skillrun.core.errors import Misuse
from skillrun.wall.commenting.api import Api, ApiProblem, NoRights
from skillrun.wall.commenting.keep import COMMENT_MOST, MARK, keep_comment
from skillrun.wall.commenting.pull_request import PullRequest, find_pull_request
from skillrun.wall.formats.registry import FORMATS

LIMITED = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "5000"}
NO_RIGHTS = "Resource not accessible by integration"


@pytest.fixture
def github() -> Iterator[GitHub]:
    with serve_github() as served:
        yield served


def request_to(github: GitHub, **other: Any) -> PullRequest:
    run = "https://forge.example.org/shop/shop/actions/runs/9"
    known = PullRequest("shop/shop", 7, HEAD, False, github.url, run)
    return replace(known, **other)


def keep(github: GitHub, markdown: str = "found\n", **other: Any) -> tuple[str, list[float]]:
    """What was done, and how long it waited."""
    waits: list[float] = []
    api = Api(github.url, TOKEN, now=lambda: 4990.0)
    return keep_comment(api, request_to(github, **other), markdown, waits.append), waits


def test_it_is_written_once_and_then_edited(github: GitHub) -> None:
    assert keep(github, "first")[0] == "written"
    assert keep(github, "second")[0] == "brought up to date"
    assert keep(github, "second")[0] == "kept as it is"
    (body,) = github.bodies
    assert body.startswith(f"{MARK}\nsecond\n")
    assert "actions/runs/9" in body
    assert github.tokens == {f"Bearer {TOKEN}"}
    assert (github.count("POST"), github.count("PATCH")) == (1, 1)


def test_it_is_found_behind_pages_of_others(github: GitHub) -> None:
    for number in range(250):
        github.add(f"comment {number}", PERSON)
    own = github.add(f"{MARK}\nold\n")
    for number in range(60):
        github.add(f"later {number}", PERSON)
    assert keep(github)[0] == "brought up to date"
    assert own["body"].startswith(f"{MARK}\nfound")
    assert len(github.comments) == 311


def test_what_a_person_has_written_with_our_mark_is_left_alone(github: GitHub) -> None:
    forged = github.add(f"{MARK}\nall is well\n", PERSON)
    github.add(f"a quotation of {MARK}")
    assert keep(github)[0] == "written"
    assert forged["body"] == f"{MARK}\nall is well\n"
    assert len(github.comments) == 3


def test_with_a_persons_own_token_it_is_that_persons_comment(github: GitHub) -> None:
    github.user = PERSON
    assert keep(github, "first")[0] == "written"
    assert keep(github, "second")[0] == "brought up to date"
    assert len(github.comments) == 1


def test_of_two_that_were_written_at_once_one_stays(github: GitHub) -> None:
    first = github.add(f"{MARK}\na\n")
    github.add(f"{MARK}\nb\n")
    assert keep(github)[0] == "brought up to date"
    assert github.comments == [first]


def test_two_runs_at_once_end_with_one_comment(github: GitHub) -> None:
    """Both have found none before either of them writes: nobody comes later to tidy up."""
    github.before_post = threading.Barrier(2, timeout=30).wait
    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(lambda _: keep(github)[0], range(2)))
    assert done == ["written", "written"]
    assert len(github.comments) == 1


def test_a_comment_that_the_other_run_has_removed_is_no_trouble(github: GitHub) -> None:
    first = github.add(f"{MARK}\na\n")
    github.add(f"{MARK}\nb\n")
    github.failures.append(Failure("DELETE", 404, is_done=True))
    assert keep(github)[0] == "brought up to date"
    assert github.comments == [first]


def test_of_two_at_once_the_newer_commits_stays(github: GitHub) -> None:
    """A push comes while the older run writes: it takes back what it has written."""

    def push() -> None:
        github.head = "6f" * 20
        github.add(f"{MARK}\nof the newer commit\n")

    github.before_post = push
    assert keep(github)[0] == "left alone: the pull request has a newer commit, 6f6f6f6f6f6f"
    assert github.bodies == [f"{MARK}\nof the newer commit\n"]


def test_the_older_run_leaves_its_comment_where_the_newer_one_has_taken_it(github: GitHub) -> None:
    """Both have posted and see both: the newer run keeps the oldest, and removes its own."""

    def take(number: int) -> None:
        github.head = "6f" * 20
        for comment in github.comments:
            if comment["id"] == number:
                comment["body"] = f"{MARK}\nof the newer commit\n"

    class Racing(Api):
        def ask(self, method: str, path: str, body: Any = None) -> Any:
            answer = super().ask(method, path, body)
            if method == "POST":
                github.add(f"{MARK}\nof the newer commit\n")
            elif len(github.comments) == 2 and "comments?" in path:
                take(github.comments[0]["id"])
                github.comments.pop()
            return answer

    api = Racing(github.url, TOKEN)
    said = keep_comment(api, request_to(github), "found\n", lambda _: None)
    assert said.startswith("left alone")
    assert github.bodies == [f"{MARK}\nof the newer commit\n"]


def test_a_comment_that_is_gone_when_it_is_edited_is_written_anew(github: GitHub) -> None:
    github.add(f"{MARK}\nold\n")
    github.failures.append(Failure("PATCH", 404))
    assert keep(github) == ("brought up to date", [2.0])


def test_an_older_run_leaves_the_comment_to_the_newer_one(github: GitHub) -> None:
    newer = github.add(f"{MARK}\nof the newer commit\n")
    github.head = "6f" * 20
    done, _ = keep(github)
    assert done == "left alone: the pull request has a newer commit, 6f6f6f6f6f6f"
    assert newer["body"] == f"{MARK}\nof the newer commit\n"


def test_an_answer_that_was_lost_writes_no_second_comment(github: GitHub) -> None:
    """The API has written it and says 502: to send it again would make two."""
    github.failures.append(Failure("POST", 502, is_done=True))
    done, waits = keep(github)
    assert done == "kept as it is"
    assert len(github.comments) == 1
    assert waits == [2.0]


def test_an_answer_that_is_no_http_is_tried_again_and_one_line_in_the_end(github: GitHub) -> None:
    github.failures.append(Failure("GET", 0))
    assert keep(github) == ("written", [2.0])
    github.failures.append(Failure("PATCH", 0, times=9))
    with pytest.raises(ApiProblem, match="the API did not answer"):
        keep(github, "other")


@pytest.mark.parametrize("status", (500, 502, 503, 504, 408))
def test_what_passes_is_tried_again_and_given_up_in_the_end(status: int, github: GitHub) -> None:
    github.failures.append(Failure("GET", status, times=2))
    assert keep(github) == ("written", [2.0, 4.0])
    github.failures.append(Failure("PATCH", status, times=9))
    with pytest.raises(ApiProblem, match=f"answered {status} to PATCH: no, 4 times"):
        keep(github, "other")


def test_a_limit_is_waited_for_where_that_is_short(github: GitHub) -> None:
    github.failures.append(Failure("GET", 403, headers=LIMITED))
    github.failures.append(Failure("POST", 429, headers={"retry-after": "30"}))
    assert keep(github) == ("written", [10.0, 30.0])


def test_a_limit_that_lasts_is_said_and_not_waited_for(github: GitHub) -> None:
    far = {**LIMITED, "x-ratelimit-reset": "8590"}
    github.failures.append(Failure("GET", 403, headers=far))
    with pytest.raises(ApiProblem, match="rate limit is used up, for 60 more minutes"):
        keep(github)
    assert len(github.asked) == 1


@pytest.mark.parametrize("status", (401, 403, 404))
def test_without_rights_nothing_is_tried_again(status: int, github: GitHub) -> None:
    github.failures.append(Failure("POST", status, times=9, message=NO_RIGHTS))
    with pytest.raises(NoRights, match=f"answered {status} to POST: {NO_RIGHTS}"):
        keep(github)
    assert github.count("POST") == 1


def test_a_redirect_takes_the_token_nowhere(github: GitHub) -> None:
    with serve_github() as other:
        away = {"Location": f"{other.url}/repos/shop/shop/pulls/7"}
        github.failures.append(Failure("GET", 301, headers=away))
        with pytest.raises(ApiProblem, match="answered 301 to GET"):
            keep(github)
        assert other.asked == []


def test_a_token_goes_over_https_alone() -> None:
    for url in ("http://api.example.org", "ftp://127.0.0.1", "api.example.org", ""):
        with pytest.raises(Misuse, match="https alone"):
            Api(url, TOKEN)
    Api("https://api.example.org/v3", TOKEN)


def test_an_answer_of_another_kind_is_one_line(github: GitHub) -> None:
    github.head = {"sha": "x"}  # type: ignore[assignment]
    github.comments.append({"id": 1, "body": "x"})
    with pytest.raises(ApiProblem):
        keep(github)


# -- the command


def ask(
    folder: Path, github: GitHub | None, event: Any = None, **other: str
) -> subprocess.CompletedProcess[str]:
    """`skillrun comment` as a pipeline starts it."""
    folder.mkdir(exist_ok=True)
    (folder / "found.json").write_text(FORMATS["json"](VERIFICATIONS["cheated"]))
    env = {**other}
    if event is None:
        event = pull_request("shop/shop")
    (folder / "event.json").write_text(json.dumps(event))
    if github is not None:
        env |= {"GITHUB_API_URL": github.url, "GITHUB_TOKEN": TOKEN}
        env |= {"GITHUB_REPOSITORY": "shop/shop", "GITHUB_RUN_ID": "9"}
        env |= {"GITHUB_SERVER_URL": "https://forge.example.org"}
        env |= {"GITHUB_EVENT_PATH": str(folder / "event.json")} | other
    return helpers.run_cli("comment", "found.json", cwd=folder, env=env)


def pull_request(source: str) -> dict[str, Any]:
    return {"pull_request": {"number": 7, "head": {"sha": HEAD, "repo": {"full_name": source}}}}


def test_the_command_writes_it(tmp_path: Path, github: GitHub) -> None:
    done = ask(tmp_path / "repo", github)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "the comment of pull request 7: written\n"
    assert COMMIT[:12] in github.bodies[0]
    assert TOKEN not in "".join(github.bodies)


def test_a_forks_pull_request_has_the_summary_alone(tmp_path: Path, github: GitHub) -> None:
    github.failures.append(Failure("POST", 403, times=9, message=NO_RIGHTS))
    done = ask(tmp_path / "repo", github, pull_request("somebody/shop"))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        f"no comment: the API answered 403 to POST: {NO_RIGHTS} (the token of a fork's pull request"
        " may only read); the summary of the run has it\n"
    )


def test_a_token_without_rights_is_told_which_it_needs(tmp_path: Path, github: GitHub) -> None:
    github.failures.append(Failure("GET", 403, times=9, message=NO_RIGHTS))
    done = ask(tmp_path / "repo", github)
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 1)
    assert "(the token needs pull-requests: write)" in done.stdout


def test_an_api_that_fails_is_one_line(tmp_path: Path, github: GitHub) -> None:
    github.failures.append(Failure("POST", 422, message="Body is too long"))
    done = ask(tmp_path / "repo", github)
    assert (done.returncode, done.stdout) == (1, "")
    said = "skillrun: no comment: the API answered 422 to POST: Body is too long\n"
    assert done.stderr == said


@pytest.mark.parametrize("event", ({"ref": "refs/heads/main"}, [], None, {"pull_request": None}))
def test_a_push_has_no_comment(event: Any, tmp_path: Path, github: GitHub) -> None:
    done = ask(tmp_path / "repo", github, event or {"x": event})
    assert done.returncode == 0
    assert done.stdout == "no comment: this pipeline does not run for a pull request\n"
    assert github.asked == []


@pytest.mark.real
def test_without_a_token_or_a_pipeline_nobody_is_asked(tmp_path: Path, github: GitHub) -> None:
    done = ask(tmp_path / "repo", github, GITHUB_TOKEN="")
    assert "there is no GITHUB_TOKEN" in done.stdout
    assert "no pipeline of GitHub" in ask(tmp_path / "other", None).stdout
    assert github.asked == []


def test_a_name_of_a_repository_is_no_path(tmp_path: Path, github: GitHub) -> None:
    for name in ("shop/shop/../../user", "shop", "shop/shop?x", "../x/y", ""):
        event = tmp_path / "event.json"
        event.write_text(json.dumps(pull_request(name)))
        env = {"GITHUB_REPOSITORY": name, "GITHUB_EVENT_PATH": str(event)}
        assert isinstance(find_pull_request(env), str), name


def test_what_is_no_verification_is_refused(tmp_path: Path) -> None:
    repo = tmp_path / "repo"
    repo.mkdir()
    (repo / "x.json").write_text('{"schema_version": 1}')
    refused = helpers.run_cli("comment", "x.json", cwd=repo)
    assert refused.returncode == 4
    assert refused.stderr.startswith("skillrun: x.json: no verification: ")
    missing = helpers.run_cli("comment", "y.json", cwd=repo)
    assert (missing.returncode, missing.stderr.count("\n")) == (2, 2)


@pytest.mark.real
def test_a_secret_of_another_machines_document_is_masked(tmp_path: Path, github: GitHub) -> None:
    folder = tmp_path / "repo"
    folder.mkdir()
    document = json.loads(FORMATS["json"](made(PASSED, gaming=CHEATED)))
    document["gaming"]["findings"][0]["message"] = f"the token is {TOKEN}"
    (folder / "planted.json").write_text(json.dumps(document))
    shown = helpers.run_cli("comment", "planted.json", "--dry-run", cwd=folder)
    assert shown.returncode == 0, shown.stderr
    assert TOKEN not in shown.stdout
    assert "the token is" in shown.stdout


@pytest.mark.real
def test_a_comment_fits_github_however_much_was_found(github: GitHub) -> None:
    from skillrun.core.verdict import Finding, Severity
    from skillrun.wall.formats.document import document
    from skillrun.wall.formats.markdown import write_markdown

    many = [Finding(f"gaming.x{n}", Severity.ERROR, "y" * 1900, "a.py", n) for n in range(1, 90)]
    jobs = [replace(PASSED, name=f"job-{n}", spec=f"{n}.yaml") for n in range(2000)]
    found = document(made(*jobs, gaming=replace(LOOKED, findings=tuple(many))))
    text = write_markdown(found, COMMENT_MOST)
    assert len(text) <= COMMENT_MOST
    assert "The rest is cut off" in text
