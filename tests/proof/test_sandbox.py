"""What a proof's processes can reach: attacks from within, as root and as nobody, with namespaces
and without.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import helpers
import pytest
from plain_job import SPEC, plain_repo, proof_of
from rows import real_but

import skillrun
from skillrun.proof.sandbox import visible
from skillrun.proof.sandbox.sandbox import Sandbox, machine_walls
from skillrun.proof.sandbox.visible import Plan, find_interpreter, make_plan
from skillrun.proof.services.find import find_postgres, find_redis_server

NOBODY = 65534
ATTACKS = Path(__file__).with_name("sandbox_attacks.py")
ALLOWED = {"write into the scratch", "read the repository", "write into /tmp"}
needs_namespaces = pytest.mark.skipif(
    not machine_walls().has_network, reason="this machine gives no namespaces to this user"
)
# A user namespace whose own limit is zero: in it nobody gets another one, as where an administrator
# forbids them.
DENY = [
    "unshare",
    "-Ur",
    "sh",
    "-c",
    'echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"',
    "sh",
]


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """A folder that another user may enter and write in; pytest's own are closed."""
    folder = Path(tempfile.mkdtemp(prefix="skillrun-test-", dir="/tmp"))
    folder.chmod(0o777)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def attack(folder: Path, python: str, *before: str) -> dict[str, Any]:
    """What the attacks say. The packages are copied: another user may not enter this checkout."""
    code = folder / "code"
    package = Path(skillrun.__file__).parent
    shutil.copytree(package, code / "skillrun", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ATTACKS, code / "attacks.py")
    place = folder / "place"
    place.mkdir()
    place.chmod(0o777)
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(code), "HOME": str(place / "home")}
    command = [*before, python, "-B", str(code / "attacks.py"), str(place)]
    done = subprocess.run(command, capture_output=True, text=True, env=env, cwd="/", timeout=90)
    assert done.stdout, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def came_through(answer: dict[str, Any]) -> set[str]:
    return {name for name, through in answer["came through"].items() if through}


def python_of_everybody() -> str:
    """An interpreter that another user may run."""
    for name in (
        "/usr/bin/python3.13",
        "/usr/bin/python3.12",
        "/usr/bin/python3.11",
        "/usr/bin/python3",
    ):
        if Path(name).exists():
            return name
    pytest.skip("there is no Python in /usr/bin that another user could run")


def as_nobody() -> list[str]:
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    if shutil.which("setpriv") is None:
        pytest.skip("setpriv is not here")
    return ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--"]


@pytest.mark.real
@needs_namespaces
def test_nothing_comes_through_the_namespaces(public_folder: Path) -> None:
    answer = attack(public_folder, sys.executable)
    assert answer["walls"] == {"kind": "namespaces", "missing": [], "why": ""}
    assert came_through(answer) == ALLOWED


@needs_namespaces
@pytest.mark.real
def test_nor_where_an_ordinary_user_proves(public_folder: Path) -> None:
    answer = attack(public_folder, python_of_everybody(), *as_nobody())
    assert answer["walls"]["kind"] == "namespaces"
    assert came_through(answer) == ALLOWED


def denied(answer: dict[str, Any]) -> None:
    """What Landlock keeps, and what it cannot: that is said."""
    assert answer["walls"]["kind"] == "landlock"
    assert (
        "max_user_namespaces" in answer["walls"]["why"] or "No space left" in answer["walls"]["why"]
    )
    through = came_through(answer) - ALLOWED
    # /proc shows others, and what a socket in the file system leads to no rule of Landlock's says.
    known = {"socket beside the repository", "socket in the repository", "see a process"}
    known |= {"socket beside what is installed"}
    known |= {"chmod in the repository"}
    assert through <= known
    assert any("Unix sockets" in words for words in answer["walls"]["missing"])
    assert any("network" in words for words in answer["walls"]["missing"])


def can_deny() -> bool:
    done = subprocess.run([*DENY, "true"], capture_output=True)
    return done.returncode == 0


@pytest.mark.real
@pytest.mark.skipif(not can_deny(), reason="namespaces cannot be denied here on purpose")
def test_without_namespaces_landlock_keeps_files_and_tcp(public_folder: Path) -> None:
    denied(attack(public_folder, sys.executable, *DENY))


@pytest.mark.skipif(not can_deny(), reason="namespaces cannot be denied here on purpose")
@pytest.mark.real
def test_without_namespaces_the_same_for_an_ordinary_user(public_folder: Path) -> None:
    denied(attack(public_folder, python_of_everybody(), *as_nobody(), *DENY))


@needs_namespaces
def test_what_a_command_leaves_running_ends_with_the_sandbox(tmp_path: Path) -> None:
    plan = Plan(
        str(tmp_path / "root"), readable=["/usr"], links=[("/bin", "usr/bin"), ("/lib", "usr/lib")]
    )
    plan.links.append(("/lib64", "usr/lib64"))
    with Sandbox(plan, tmp_path) as sandbox:
        daemon = "setsid sleep 987654 > /dev/null 2>&1 & echo $!"
        command = [*sandbox.prefix("/"), "/bin/sh", "-c", daemon]
        inner = int(subprocess.run(command, capture_output=True, text=True).stdout)
        outer = sandbox.outer_pid(inner)
        assert b"987654" in Path(f"/proc/{outer}/cmdline").read_bytes()
    deadline = time.monotonic() + 10
    while Path(f"/proc/{outer}").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not Path(f"/proc/{outer}").exists()


@needs_namespaces
def test_a_killed_skillrun_takes_its_sandbox_along(tmp_path: Path) -> None:
    code = (
        "import os, sys, time; from pathlib import Path; from skillrun.proof.sandbox.sandbox import"
        " Sandbox;from skillrun.proof.sandbox.visible import Plan; run = Path(sys.argv[1]);s ="
        " Sandbox(Plan(str(run / 'root'), readable=['/usr']), run); print(s._first, flush=True);"
        " time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        first = int(process.stdout.readline())
        assert Path(f"/proc/{first}").exists()
        process.kill()
    deadline = time.monotonic() + 10
    while Path(f"/proc/{first}").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not Path(f"/proc/{first}").exists()


@needs_namespaces
def test_a_command_ends_as_it_does_outside(tmp_path: Path) -> None:
    plan = Plan(
        str(tmp_path / "root"), readable=["/usr"], links=[("/bin", "usr/bin"), ("/lib", "usr/lib")]
    )
    plan.links.append(("/lib64", "usr/lib64"))
    with Sandbox(plan, tmp_path) as sandbox:
        for line, code in (
            ("exit 7", 7),
            ("kill -9 $$", -signal.SIGKILL),
            ("kill -TERM $$", -signal.SIGTERM),
        ):
            done = subprocess.run(
                [*sandbox.prefix("/"), "/bin/sh", "-c", line], capture_output=True
            )
            assert done.returncode == code


@needs_namespaces
def test_a_link_below_tmp_is_there_beside_what_is_tmp_inside(tmp_path: Path) -> None:
    """`.venv` of a checkout in /tmp that leads to an environment elsewhere."""
    plan = Plan(
        str(tmp_path / "root"), readable=["/usr"], links=[("/bin", "usr/bin"), ("/lib", "usr/lib")]
    )
    (tmp_path / "temporary").mkdir()
    plan.temporary.append(("/tmp", str(tmp_path / "temporary")))
    plan.links += [("/lib64", "usr/lib64"), ("/tmp/shop/.venv", "/usr")]
    with Sandbox(plan, tmp_path) as sandbox:
        command = [*sandbox.prefix("/"), "/tmp/shop/.venv/bin/true"]
        assert subprocess.run(command).returncode == 0


def test_an_interpreter_in_the_home_shows_itself_and_not_the_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    base = home / ".local" / "share" / "pythons" / "3.12"
    (base / "bin").mkdir(parents=True)
    (base / "bin" / "python3").write_text("")
    (home / "bin").mkdir()
    (home / "lib").mkdir()
    (home / "bin" / "python3").symlink_to(base / "bin" / "python3")
    monkeypatch.setattr(Path, "home", lambda: home)
    plan = make_plan(
        mount_at=tmp_path / "root",
        root=tmp_path,
        pythons=[str(home / "bin" / "python3")],
        servers=[],
        writable=[],
        temporary=tmp_path,
    )
    shown = [
        path for path in find_interpreter(str(home / "bin" / "python3"), tmp_path) if path.exists()
    ]
    assert home not in shown
    assert base in shown
    assert str(home) not in plan.readable


def test_a_virtual_environment_brings_what_it_was_made_from_and_what_it_edits(
    tmp_path: Path,
) -> None:
    base, venv, beside = tmp_path / "base", tmp_path / "venv", tmp_path / "beside"
    packages = venv / "lib" / "python3.12" / "site-packages"
    for folder in (base / "bin", venv / "bin", packages, beside / "src"):
        folder.mkdir(parents=True)
    (base / "bin" / "python3").write_text("")
    (venv / "bin" / "python").symlink_to(base / "bin" / "python3")
    (venv / "pyvenv.cfg").write_text(f"home = {base / 'bin'}\nversion = 3.12\n")
    (packages / "shop.pth").write_text(f"import site\n{beside}\n/\n{Path.home()}\n")
    finder = f"MAPPING: dict[str, str] = {{'shop': '{beside / 'src'}'}}\n"
    (packages / "__editable___shop_finder.py").write_text(finder)
    found = find_interpreter(str(venv / "bin" / "python"), tmp_path)
    assert {venv, base, beside} <= set(found)
    assert Path("/") not in found
    assert Path.home() not in found


def test_an_environment_that_git_brought_opens_no_other_folder(tmp_path: Path) -> None:
    beside, root = tmp_path / "beside", tmp_path / "repo"
    beside.mkdir()
    lines = f"{beside}\n"
    pth = "fake/lib/python3.12/site-packages/x.pth"
    settings = f"home = {tmp_path / 'keys' / 'bin'}\n"
    (tmp_path / "keys" / "bin").mkdir(parents=True)
    helpers.build_tree(root, {pth: lines, "fake/pyvenv.cfg": settings, "fake/bin/python": ""})
    found = find_interpreter(str(root / "fake" / "bin" / "python"), root)
    assert beside not in found
    assert tmp_path / "keys" not in found  # there is no interpreter in it


@pytest.mark.parametrize("hidden", [".ssh", "src/.git", ".config/app"])
def test_nothing_hidden_in_a_home_is_opened_by_a_file(
    tmp_path: Path, hidden: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, venv = tmp_path / "home", tmp_path / "venv"
    packages = venv / "lib" / "python3.12" / "site-packages"
    for folder in (home / hidden, home / "src" / "shared", packages, venv / "bin"):
        folder.mkdir(parents=True, exist_ok=True)
    monkeypatch.setattr(Path, "home", lambda: home)
    (packages / "x.pth").write_text(f"{home / hidden}\n{home / 'src' / 'shared'}\n/run\n/var/run\n")
    found = find_interpreter(str(venv / "bin" / "python"), tmp_path / "repo")
    assert home / "src" / "shared" in found  # an editable install of the user's own
    assert home / hidden not in found
    assert not {Path("/run"), Path("/var/run")} & set(found)


def test_settings_of_an_environment_that_are_a_pipe_are_none(tmp_path: Path) -> None:
    (tmp_path / "venv" / "bin").mkdir(parents=True)
    os.mkfifo(tmp_path / "venv" / "pyvenv.cfg")
    python = tmp_path / "venv" / "bin" / "python"
    assert python in find_interpreter(str(python), tmp_path)


def test_of_nested_folders_the_outermost_is_shown() -> None:
    assert visible.drop_nested(["/a/b", "/a", "/ab", "/a/b/c"]) == ["/a", "/ab"]


ZYGOTE = '            send(order_id, key=f"order-{order_id}")\n'
GARBAGE = """
for fd in range(3, 64):
    try:
        os.write(fd, b"[1, 2\\n}{ nothing of the probe's\\n" * 50)
    except OSError:
        pass
"""
HOSTILE = {
    "the handler stops the interpreter": (
        "import ctypes, signal\nctypes.CDLL(None).kill(os.getppid(), signal.SIGSTOP)",
        "the interpreter of the proof was stopped by a signal",
    ),
    "the handler kills the interpreter": (
        "import ctypes, signal\nctypes.CDLL(None).kill(os.getppid(), signal.SIGKILL)",
        "the interpreter of the proof ended",
    ),
    "the handler writes into every descriptor": (
        GARBAGE.strip(),
        "the interpreter of the proof says what the probe never says",
    ),
    "the handler stops itself": (
        "import signal\nos.kill(os.getpid(), signal.SIGSTOP)",
        "the handler did not end",
    ),
}


def hostile_proof(tmp_path: Path, code: str) -> Any:
    lines = "".join(f"            {line}\n" for line in code.splitlines())
    return proof_of(plain_repo(tmp_path / "repo", was=ZYGOTE, becomes=ZYGOTE + lines), None)


@pytest.mark.real
@pytest.mark.parametrize("name", real_but(HOSTILE, "the handler writes into every descriptor"))
def test_an_interpreter_that_is_attacked_ends_the_proof_with_a_line(
    name: str, tmp_path: Path
) -> None:
    code, said = HOSTILE[name]
    begun = time.monotonic()
    proof = hostile_proof(tmp_path, code)
    assert proof.verdict == "incomplete"
    assert said in "\n".join(j.message for j in proof.incomplete)
    # A delivery may take twenty seconds: nobody may have waited for that.
    assert time.monotonic() - begun < 15


BOOTS = {
    "stops itself": (
        "import signal\nos.kill(os.getpid(), signal.SIGSTOP)",
        "was stopped by a signal",
    ),
    "writes into every descriptor": (GARBAGE, "says what the probe never says"),
}


@pytest.mark.real
@pytest.mark.parametrize("name", real_but(BOOTS, "stops itself"))
def test_a_module_that_attacks_while_it_is_imported(name: str, tmp_path: Path) -> None:
    code, said = BOOTS[name]
    proof = proof_of(plain_repo(tmp_path / "repo", jobs=f"import os\n{code}\n"))
    assert proof.verdict == "incomplete"
    assert said in "\n".join(j.message for j in proof.incomplete)


PROVE = """
import json, sys
from pathlib import Path
from plain_job import SPEC, plain_repo, proof_of
from skillrun.proof.assumptions import assumptions
from skillrun.proof.result import Target
from skillrun.contract.spec import load_spec
root = plain_repo(Path(sys.argv[1]))
proof = proof_of(root)
spec = load_spec(root / ".skillrun/jobs/handle-order.yaml", root=root)
said = assumptions(proof, Target(spec, root, None))
print(json.dumps([proof.verdict, proof.walls.kind, [j.message for j in proof.incomplete], said]))
"""


@pytest.mark.skipif(not can_deny(), reason="namespaces cannot be denied here on purpose")
@pytest.mark.real
def test_a_proof_without_namespaces_says_what_it_did_not_have(tmp_path: Path) -> None:
    tests = Path(__file__).parent.parent
    env = {**os.environ, "PYTHONPATH": f"{tests}:{tests / 'proof'}", "HOME": str(tmp_path)}
    command = [*DENY, sys.executable, "-c", PROVE, str(tmp_path / "repo")]
    done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=120)
    verdict, kind, incomplete, said = json.loads(
        done.stdout or f'["", "", [], {json.dumps(done.stderr)}]'
    )
    assert (verdict, kind, incomplete) == ("proved", "landlock", []), said
    given = [words for words in said if words.startswith("this machine gave the proof")]
    assert len(given) == 4


ASK = """
import json, sys
from pathlib import Path
from plain_job import JOBS, plain_repo, proof_of

place = '            send(order_id, key=f"order-{order_id}")\\n'
lines = "".join(f"            {line}\\n" for line in sys.argv[2].splitlines())
root = plain_repo(Path(sys.argv[1]), was=place, becomes=place + lines)
print(json.dumps([judgement.message for judgement in proof_of(root, "once").incomplete]))
"""
TRY_TCP = """
import socket
try:
    socket.create_connection(("127.0.0.1", 39101), 1)
except OSError:
    pass
"""


@pytest.mark.skipif(not can_deny(), reason="namespaces cannot be denied here on purpose")
@pytest.mark.real
def test_a_socket_that_the_kernel_refuses_is_said_all_the_same(tmp_path: Path) -> None:
    tests = Path(__file__).parent.parent
    env = {**os.environ, "PYTHONPATH": f"{tests}:{tests / 'proof'}", "HOME": str(tmp_path)}
    command = [*DENY, sys.executable, "-c", ASK, str(tmp_path / "repo"), TRY_TCP.strip()]
    done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=120)
    assert "undeclared network: a socket of AF_INET (jobs.py:" in done.stdout, done.stderr


def said_of(tmp_path: Path, **proof: Any) -> str:
    """Why the proof was blocked."""
    given = {**SPEC["proof"], **proof}
    found = proof_of(plain_repo(tmp_path / "repo", changed={"proof": given}))
    return "\n".join(judgement.message for judgement in found.incomplete)


def test_a_word_of_a_server_that_is_not_started_is_said(tmp_path: Path) -> None:
    said = said_of(tmp_path, env={"APP_DB": "{scratch}/app.db", "R": "{redis.url}"})
    assert "{redis.url}: the proof starts no redis" in said


@needs_namespaces
@pytest.mark.real
def test_a_word_that_no_server_has_is_said(tmp_path: Path) -> None:
    said = said_of(tmp_path, services=["redis"], env={"R": "{redis.hots}"})
    assert "{redis.hots}: there is no such word" in said


CLIENT = """
import os, socket
from pathlib import Path
for name in ("REDIS", "PG"):
    host, _, port = os.environ[name].partition(":")
    socket.create_connection((host, int(port)), 5).close()
Path(os.environ["APP_DB"]).touch()
exec(open("schema.py").read())
"""


@needs_namespaces
@pytest.mark.real
def test_private_servers_listen_on_the_loopback_of_the_sandbox_at_their_usual_ports(
    tmp_path: Path,
) -> None:
    env = {
        "APP_DB": "{scratch}/app.db",
        "REDIS": "{redis.host}:{redis.port}",
        "PG": "{postgresql.host}:{postgresql.port}",
    }
    given = {
        **SPEC["proof"],
        "env": env,
        "services": ["redis", "postgresql"],
        "setup": "python client.py",
    }
    root = plain_repo(tmp_path / "repo", changed={"proof": given})
    (root / "client.py").write_text(CLIENT)
    assert proof_of(root).verdict == "proved"


BY_PORT = """
    import os
    import psycopg
    import redis

    def send(order_id, key):
        raise RuntimeError("the real one must never run")

    def handle(order_id):
        print("handle started", order_id)
        cache = redis.Redis.from_url(os.environ["REDIS"])
        with psycopg.connect(os.environ["PG"]) as db:
            db.execute("select pg_advisory_xact_lock(%s)", (order_id,))
            if db.execute("select 1 from done where order_id = %s", (order_id,)).fetchone():
                return
            send(order_id, key=f"order-{order_id}")
            db.execute("insert into done values (%s)", (order_id,))
        cache.set(f"seen:{order_id}", 1)
"""
BY_PORT_SCHEMA = """
import os, psycopg
with psycopg.connect(os.environ["PG"]) as db:
    db.execute("create table done (order_id integer primary key)")
"""


@needs_namespaces
@pytest.mark.real
def test_a_handler_that_knows_its_servers_by_host_and_port(tmp_path: Path) -> None:
    pytest.importorskip("psycopg")
    if find_postgres() is None or find_redis_server() is None:
        pytest.skip("a server is missing here")
    pg = "postgresql://{postgresql.user}@{postgresql.host}:{postgresql.port}/{postgresql.name}"
    given = {
        **SPEC["proof"],
        "env": {"PG": pg, "REDIS": "{redis.url}"},
        "services": ["redis", "postgresql"],
        "setup": "python schema_pg.py",
        "database": "{postgresql}",
    }
    root = plain_repo(tmp_path / "repo", jobs=BY_PORT, changed={"proof": given})
    (root / "schema_pg.py").write_text(BY_PORT_SCHEMA)
    proof = proof_of(root)
    assert (proof.verdict, [judgement.message for judgement in proof.incomplete]) == ("proved", [])
