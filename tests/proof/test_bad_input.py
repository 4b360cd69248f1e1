"""What a repository or a machine can do wrong: one clear line, no traceback, no hang, nothing left
behind.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import forks
import helpers
import hooked
import pytest
from plain_job import SPEC, plain_repo, proof_of
from rows import real_but

from skillrun.proof.packages import find_python
from skillrun.proof.result import Proof
from skillrun.proof.sandbox.sandbox import machine_walls
from skillrun.proof.zygote import BootFailed

SEND = '            send(order_id, key=f"order-{order_id}")\n'


@pytest.fixture(autouse=True)
def little_time(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A delivery that hangs is ended after two seconds."""
    monkeypatch.setenv("SKILLRUN_DELIVERY_S", "2")
    before = set(zygotes())
    yield
    assert set(zygotes()) <= before


def zygotes() -> list[str]:
    """The interpreters of proofs that this test process has started, and all that came of them."""
    mine, found = {os.getpid()}, []
    for path in sorted(Path("/proc").glob("[0-9]*"), key=lambda p: int(p.name)):
        try:
            parent = int((path / "stat").read_bytes().rpartition(b")")[2].split()[1])
        except OSError:
            continue
        if parent in mine and int(path.name) not in forks.servers:
            mine.add(int(path.name))
            found.append(path.name)
    return found


def proof_with(tmp_path: Path, code: str, only: str | None = "redeliver") -> Proof:
    """The proof of a handler that does this after its effect."""
    lines = "".join(f"            {line}\n" for line in code.splitlines())
    return proof_of(plain_repo(tmp_path / "repo", was=SEND, becomes=SEND + lines), only)


def messages(proof: Proof) -> str:
    assert proof.verdict == "incomplete"
    assert proof.witnesses == []
    return "\n".join(f"{j.rule}: {j.message}" for j in proof.incomplete)


@pytest.mark.real
@pytest.mark.parametrize(
    ("setup", "where"), [("python schema.py", "proof.setup: schema.py:4"), (None, "jobs.py:8")]
)
def test_a_variable_that_is_missing_is_named_with_its_place(
    tmp_path: Path, setup: str | None, where: str
) -> None:
    proof = proof_of(
        plain_repo(tmp_path / "repo", changed={"proof": {"setup": setup} if setup else {}})
    )
    assert (
        f"{where}: reads the environment variable APP_DB, which the proof does not have"
        in messages(proof)
    )
    assert [judgement.expected for judgement in proof.incomplete] == [
        "put it into the spec: proof: {env: {APP_DB: only-for-the-proof}}"
    ]


HANGS = {
    "loop": "while True: pass",
    "pipe": "os.read(os.pipe()[0], 1)",
    "signals": (
        "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nos.read(os.pipe()[0], 1)"
    ),
}


@pytest.mark.real
@pytest.mark.parametrize("name", real_but(HANGS, "loop"))
def test_a_handler_that_hangs_is_stopped_and_its_last_boundary_is_said(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SKILLRUN_DELIVERY_S", "1")
    assert "the single run did not end; its last boundary was after:send#1" in messages(
        proof_with(tmp_path, HANGS[name])
    )


ENDS = {
    "exit": ("os._exit(3)", "the single run ended its process with exit status 3"),
    "signal": ("os.abort()", "the single run ended its process by signal 6"),
    "parent": (
        "import ctypes; ctypes.CDLL(None).kill(os.getppid(), 9)",
        "the interpreter of the proof ended",
    ),
    "descriptors": ("os.closerange(0, 1000)", "closed the descriptor on which skillrun hears it"),
    "big": (
        "file = open(DB + 'x', 'wb')\nfile.seek(300_000_000)\nfile.write(b'x')\nfile.flush()",
        "OSError: [Errno 27] File too large (jobs.py:28)",
    ),
    "deep": ("f = lambda: f()\nf()", "RecursionError"),
    "exit-exception": ("raise SystemExit(2)", "the single run fails: SystemExit: 2 (jobs.py:25)"),
    "repository": ("open('out.txt', 'w').write('x')", "undeclared file: out.txt (jobs.py:25)"),
}


@pytest.mark.real
@pytest.mark.parametrize("name", real_but(ENDS, "exit"))
def test_a_handler_that_ends_itself_or_what_it_needs(name: str, tmp_path: Path) -> None:
    code, said = ENDS[name]
    assert said in messages(proof_with(tmp_path, code))


@pytest.mark.real
def test_an_interpreter_that_has_ended_takes_no_order(tmp_path: Path) -> None:
    with hooked.explorer(tmp_path, {"jobs.py": "def main():\n    pass\n"}) as made:
        (zygote,) = made.workplace.zygotes.values()
        zygote.process.kill()
        zygote.process.wait()
        deadline = time.monotonic() + 10
        with pytest.raises(BootFailed, match="the interpreter of the proof ended"):
            while time.monotonic() < deadline:
                zygote.sweep()


FORKS = {
    "fork": "os.fork()",
    "exec": "if os.fork() == 0:\n    os.execv('/bin/sleep', ['sleep', '300'])",
    "daemon": "if os.fork() == 0:\n    os.setsid()\n    os.execv('/bin/sleep', ['sleep', '300'])",
}


@pytest.mark.real
@pytest.mark.parametrize("name", real_but(FORKS, "daemon"))
def test_processes_of_a_handler_are_said_and_ended(name: str, tmp_path: Path) -> None:
    said = messages(proof_with(tmp_path, FORKS[name]))
    assert "undeclared process: os.fork (jobs.py:25)" in said
    assert "did not end" not in said


@pytest.mark.real
def test_a_handler_may_patch_time_and_sleep_for_days(tmp_path: Path) -> None:
    code = "time.sleep(300_000)\ntime.time = lambda: 5.0\ntime.monotonic = lambda: 1.0"
    assert proof_with(tmp_path, code).verdict == "proved"


@pytest.mark.real
def test_effects_that_are_never_reached(tmp_path: Path) -> None:
    proof = proof_of(
        plain_repo(tmp_path / "repo", was=SEND, becomes="            pass\n"), only=None
    )
    assert "the single run does not reach: send" in messages(proof)


EFFECTS: dict[str, tuple[dict[str, Any], str]] = {
    "no-parameter": (
        {"key_arg": "token"},
        "key_arg: jobs:send has no parameter token; it has order_id, key",
    ),
    "no-callable": ({"call": "jobs:DB"}, "jobs:DB is str, which cannot be called"),
    "a-class": (
        {"call": "jobs:Away"},
        "jobs:Away is a class: name the method that changes the world",
    ),
}


@pytest.mark.real
@pytest.mark.parametrize("name", real_but(EFFECTS, "no-parameter"))
def test_what_the_spec_says_of_an_effect_is_wrong(name: str, tmp_path: Path) -> None:
    fields, said = EFFECTS[name]
    effects = [{**SPEC["effects"][0], **fields}]
    assert said in messages(proof_of(plain_repo(tmp_path / "repo", changed={"effects": effects})))


@pytest.mark.real
def test_a_query_that_does_not_end_is_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("skillrun.proof.state._QUERY_S", 0.2)
    endless = (
        "with recursive n(i) as (select 1 union all select i + 1 from n) select count(*) from n,"
        " done"
    )
    assert "it takes longer than 0.2 s" in messages(changed(tmp_path, state={"endless": endless}))


@pytest.mark.real
def test_the_state_kept_in_a_file_is_incomplete(tmp_path: Path) -> None:
    code = "open(os.path.join(os.path.dirname(DB), 'sent.txt'), 'a').write('x')"
    twice = proof_with(tmp_path / "state", code, "kill@before:commit#1")
    assert "undeclared file: {scratch}/sent.txt" in messages(twice)
    # A lock is free by what it holds, and not by its name alone.
    lock = code.replace("sent.txt", "only.lock")
    assert "undeclared file: {scratch}/only.lock" in messages(proof_with(tmp_path / "mail", lock))
    empty = lock.replace("'x'", "''")
    assert proof_with(tmp_path / "lock", empty).verdict == "proved"


TEMPORARY = """db.execute("create temp table batch (a)")
db.execute("insert into batch values (1)")"""


KEPT = """with closing(sqlite3.connect(DB, isolation_level=None)) as own:
    own.execute("create table if not exists batch (a)")
    own.execute("insert into batch values (1)")"""


@pytest.mark.real
def test_a_temporary_table_is_no_state(tmp_path: Path) -> None:
    assert proof_with(tmp_path / "temporary", TEMPORARY).verdict == "proved"
    kept = proof_with(tmp_path / "kept", KEPT, "kill@before:commit#1")
    assert "the table batch is written but no query" in messages(kept)


@pytest.mark.real
def test_a_temporary_table_that_hides_a_real_one_is_no_way_out(tmp_path: Path) -> None:
    hides = TEMPORARY.replace("batch", "done")
    proof = proof_with(tmp_path, hides)
    # A query reads it.
    assert "table done is written" not in "".join(j.message for j in proof.incomplete)
    # Where none does, it is read as a whole.
    unread = changed(tmp_path / "unread", state={"one": "select 1"})
    assert unread.verdict == "proved"


SENT = (
    "import socket\nsocket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'a:1|c', ('127.0.0.1',"
    " 8125))"
)


@pytest.mark.real
def test_a_count_is_no_effect_and_the_same_datagram_by_own_code_is_one(tmp_path: Path) -> None:
    code = "from statsd import StatsClient\nStatsClient().incr('handled')"
    assert proof_with(tmp_path / "client", code).verdict == "proved"
    assert "undeclared network: 127.0.0.1:8125" in messages(proof_with(tmp_path / "own", SENT))


@pytest.mark.real
def test_memory_is_bounded(tmp_path: Path) -> None:
    proof = proof_with(tmp_path, "held = bytearray(1 << 40)")
    assert "MemoryError" in messages(proof)


def changed(tmp_path: Path, **proof: Any) -> Proof:
    return proof_of(plain_repo(tmp_path / "repo", changed={"proof": {**SPEC["proof"], **proof}}))


PROOFS: dict[str, tuple[dict[str, Any], str]] = {
    "column": (
        {"state": {"one": "select nope from done"}},
        "proof.state.one: no such column: nope",
    ),
    "writes": ({"state": {"one": "delete from done"}}, "attempt to write a readonly database"),
    "database": (
        {"database": "{scratch}/other.db"},
        "the handler writes to app.db, which is not proof.database",
    ),
    "python": ({"python": "/no/python"}, "proof.python: there is no interpreter /no/python"),
    "no-python": ({"python": "/bin/false"}, "proof.python: /bin/false is no Python interpreter"),
    "silent-python": ({"python": "/bin/true"}, "proof.python: /bin/true is no Python interpreter"),
    "setup": ({"setup": "echo one; echo two >&2; exit 7"}, "proof.setup: exit 7: one | two"),
    "no-setup": ({"setup": "no-such-command"}, "a program was not found"),
}


@pytest.mark.real
@pytest.mark.parametrize("name", real_but(PROOFS, "column", "setup"))
def test_what_the_spec_says_of_the_proof_is_wrong(name: str, tmp_path: Path) -> None:
    fields, said = PROOFS[name]
    assert said in messages(changed(tmp_path, **fields))


@pytest.mark.skipif(
    not machine_walls().has_network, reason="this machine gives no process a network of its own"
)
@pytest.mark.real
def test_a_setup_reaches_no_server_of_the_machine(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        line = (
            f"import socket; socket.create_connection(('127.0.0.1', {server.getsockname()[1]}), 5)"
        )
        assert subprocess.run([sys.executable, "-c", line]).returncode == 0  # this process does
        server.accept()[0].close()
        proof = changed(tmp_path, setup=f'python schema.py && {sys.executable} -c "{line}"')
        server.settimeout(0.1)
        with pytest.raises(TimeoutError):
            server.accept()
    assert "Connection refused" in messages(proof)


MODULES = {
    "missing": (
        "import no_such_module_anywhere\n",
        "No module named 'no_such_module_anywhere' (jobs.py:1)",
    ),
    "syntax": ("def handle(:\n", "SyntaxError: invalid syntax"),
    "exits": ("import os\nos._exit(4)\n", "ended while it imported the handler"),
    "leaves": ("raise SystemExit(3)\n", "SystemExit: 3 (jobs.py:1)"),
    "empty": ("\n", "there is no handle in jobs"),
    "no-function": ("handle = 5\n", "jobs:handle cannot be called"),
}


@pytest.mark.real
@pytest.mark.parametrize("name", real_but(MODULES, "missing"))
def test_a_handler_that_does_not_import(name: str, tmp_path: Path) -> None:
    code, said = MODULES[name]
    assert said in messages(proof_of(plain_repo(tmp_path / "repo", jobs=code)))


@pytest.mark.real
def test_a_python_that_is_too_old(tmp_path: Path) -> None:
    old = tmp_path / "python3.6"
    old.write_text("#!/bin/sh\necho python 3 6\n")
    old.chmod(0o755)
    assert "python3.6 is Python 3.6; the proof needs 3.9 or newer" in messages(
        changed(tmp_path, python=str(old))
    )


@pytest.mark.real
def test_the_repositorys_own_environment_may_be_too_old(tmp_path: Path) -> None:
    """No `proof.python` names it: it is found."""
    repo = plain_repo(tmp_path / "repo")
    old = repo / ".venv/bin/python"
    old.parent.mkdir(parents=True)
    (repo / ".venv/pyvenv.cfg").write_text("version = 3.8.18\n")
    old.write_text("#!/bin/sh\necho python 3 8\n")
    old.chmod(0o755)
    assert "is Python 3.8; the proof needs 3.9 or newer" in messages(proof_of(repo))


def test_a_module_that_cannot_be_parsed_on_the_command_line(tmp_path: Path) -> None:
    repo = plain_repo(tmp_path / "repo", jobs="def handle(:\n")
    done = helpers.run_cli("prove", "--trust", cwd=repo)
    assert done.returncode == 3
    assert "handler: its module cannot be read: jobs.py:1: " in done.stderr


@pytest.mark.real
def test_a_reader_that_goes_away_does_not_change_the_verdict(tmp_path: Path) -> None:
    repo = plain_repo(tmp_path / "repo")
    for option in ("--json", ""):
        script = (
            f"{sys.executable} -m skillrun prove --trust {option} | true; exit ${{PIPESTATUS[0]}}"
        )
        env = helpers.clean_env(repo.with_name("repo.home"))
        done = subprocess.run(
            ["bash", "-c", script], cwd=repo, env=env, capture_output=True, text=True
        )
        assert (done.returncode, done.stderr) == (0, "")


NAMES: dict[str, tuple[dict[str, Any], str]] = {
    "effect": (
        {"effects": [{**SPEC["effects"][0], "call": "jobs:nope"}]},
        "there is no nope in jobs",
    ),
    "error": (
        {"failures": {"transient": ["jobs:Nope"]}},
        "failures: jobs:Nope: there is no Nope in jobs",
    ),
}


@pytest.mark.real
@pytest.mark.parametrize("name", real_but(NAMES, "error"))
def test_names_in_the_spec_that_lead_nowhere(name: str, tmp_path: Path) -> None:
    fields, said = NAMES[name]
    assert said in messages(proof_of(plain_repo(tmp_path / "repo", changed=fields)))


def test_examples_that_break_the_payload_schema_are_refused(tmp_path: Path) -> None:
    payload = {**SPEC["payload"], "examples": [{"order_id": "x"}]}
    repo = plain_repo(tmp_path / "repo", changed={"payload": payload})
    done = helpers.run_cli("prove", "--trust", cwd=repo)
    assert done.returncode == 4
    assert "payload.examples.0.order_id: x is text, not a whole number" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_key_without_fields_is_no_key(tmp_path: Path) -> None:
    keyed = {"idempotency": {"strategy": "keyed", "key": []}}
    proof = proof_of(plain_repo(tmp_path / "repo", changed=keyed))
    assert messages(proof) == "blocked: idempotency: a keyed strategy without key fields"
    assert "invariant" in proof.incomplete[0].expected


def test_to_find_the_python_that_a_spec_names_runs_nothing(tmp_path: Path) -> None:
    """Stages ask for it before anybody consented."""
    marker, program = tmp_path / "it-ran", tmp_path / "python"
    program.write_text(f"#!/bin/sh\ntouch {marker}\necho python 3 12\n")
    program.chmod(0o755)
    assert find_python(tmp_path, "./python") == str(program)
    assert not marker.exists()
