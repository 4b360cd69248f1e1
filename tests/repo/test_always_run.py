"""What a shell script needs in every case: what stands behind a loop, a branch or a text."""

from __future__ import annotations

import time

import pytest

from skillrun.repo.always_run import list_always_run
from skillrun.repo.shell import unset_in_script

NEEDS = ': "${DB_HOST:?not set}"'

RUN_IN_EVERY_CASE = {
    "behind a loop that reads a file": f"while read x; do echo $x; done < f\n{NEEDS}",
    "behind a loop in a pipe": f"for x in 1 2; do echo $x; done | sort\n{NEEDS}",
    "on the line of the branch": f"if x; then y; fi; {NEEDS}",
    "behind a heredoc": f"cat <<EOF\nif you don't want help\nfor more\nEOF\n{NEEDS}",
    "in a heredoc": "cat <<EOF\nhost=${DB_HOST:?not set}\nEOF",
    "behind a heredoc's done": f"cat <<EOF\ndone\nEOF\n{NEEDS}",
    "behind a statement of SQL": f'psql -c "\nselect 1\nfor update"\n{NEEDS}',
    "behind words": f"echo if this is done\n{NEEDS}",
    "behind a comment": f"make x # it is\n# if you need it\n{NEEDS}",
    "behind names of cases": f"case $1 in\ndone) a;;\nif) b;;\nesac\n{NEEDS}",
    "in a function": f"main() {{\n{NEEDS}\n}}\nmain",
    "in a function that ends the script": f"main() {{\n{NEEDS}\n}}\nmain||exit 1",
    "in a function, with a semicolon": f"main() {{\n{NEEDS}\n}}\nmain;",
    "in a function behind a command": f"main() {{\n{NEEDS}\n}}\nset -e; main",
    "in a function on one line": f"main() {{ if x; then y; fi; {NEEDS}; }}\nmain",
    "below what is never closed": f"if x; then\n{NEEDS}",
}
RUN_IN_ONE_CASE = {
    "in a branch": f"if x; then\n{NEEDS}\nfi",
    "in a branch of a loop": f"while x\ndo\nif y; then z; fi\n{NEEDS}\ndone < f",
    "in a case": f"case $1 in\ndeploy) {NEEDS};;\nesac",
    "in a function that is not called": f"deploy() {{\n{NEEDS}\n}}\npytest",
    "in a function that is called if something fails": f"deploy() {{\n{NEEDS}\n}}\ntrue || deploy",
    "in a text that is taken as it is": "cat <<'EOF'\n${DB_HOST:?not set}\nEOF",
}


@pytest.mark.parametrize("script", RUN_IN_EVERY_CASE.values(), ids=RUN_IN_EVERY_CASE)
def test_what_runs_in_every_case_is_needed(script: str) -> None:
    assert unset_in_script(script.splitlines()) == ["DB_HOST"]


@pytest.mark.parametrize("script", RUN_IN_ONE_CASE.values(), ids=RUN_IN_ONE_CASE)
def test_what_runs_in_one_case_alone_is_not_needed(script: str) -> None:
    assert unset_in_script(script.splitlines()) == []


def test_functions_that_call_each_other_in_a_long_chain_are_followed() -> None:
    chain = [f"f{number}() {{ f{number + 1}; }}" for number in range(1500)]
    assert list_always_run([*chain, "f1500() { last; }", "f0"])[-1].strip() == "last;"


def test_a_long_line_takes_no_time() -> None:
    begun = time.process_time()
    list_always_run(
        ["a" + " " * 50_000 + "b", "a(" + " " * 50_000, "${a" * 20_000, '"\\"' * 20_000]
    )
    assert time.process_time() - begun < 1
