"""What one proof runs in: interpreter, environment, folders, servers, and the zygote's
configuration.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skillrun.core.errors import Blocked, Refused, RepoUnusable
from skillrun.frameworks.known.launchers import find_commands, split_commands
from skillrun.frameworks.registry import FRAMEWORKS, features_of
from skillrun.proof import aside
from skillrun.proof.orders import spell_error
from skillrun.proof.packages import check_python, find_python
from skillrun.proof.scratch import Folders
from skillrun.proof.state import SqliteStore, Store
from skillrun.proof.store_watch import Watched
from skillrun.proof.unset import find_unset
from skillrun.proof.zygote import Zygote
from skillrun.repo.tree import Tree

if TYPE_CHECKING:
    from skillrun.contract.job import JobSpec
    from skillrun.proof.sandbox.sandbox import Sandbox
    from skillrun.validations.run import CommandResult

_NO_NETWORK = (
    "proof.setup has no network, so that it finds no database of yours: proof.services starts"
    " servers for it, and {postgresql} and {redis} in proof.env are where they are"
)
_OF_A_SERVER = re.compile(r"\{(redis|postgresql)(?:\.\w+)?\}")
_ANOTHER_HOST = "another-worker.skillrun.invalid"


@dataclass
class Workplace:
    """A place of work with its servers and its zygotes. Two of them work side by side, each on its
    own.
    """

    spec: JobSpec
    root: Path
    driver: str | None  # framework id; None: a plain callable
    paths: tuple[str, ...]  # source roots, relative to `root`
    acks_late: bool = False  # of a target: what would be with it
    folders: Folders = field(default_factory=Folders)
    servers: list[Any] = field(default_factory=list)
    urls: dict[str, str] = field(default_factory=dict)
    zygotes: dict[str, Zygote] = field(default_factory=dict)
    abandoned: bool = False
    left_by_setup: str | None = None  # what to know of processes that it left running
    # What its processes see besides: another checkout of the repository, see `deploying`.
    beside: tuple[Path, ...] = ()
    # Whether what is there now began with what the application's second call has left.
    is_of_second: bool = False

    @property
    def proof(self) -> Any:
        from skillrun.contract.job import Proof

        return self.spec.proof or Proof()

    @property
    def python(self) -> str:
        return find_python(self.root, self.proof.python)

    @cached_property
    def sandbox(self) -> Sandbox:
        """The sandbox in which servers, setup, deliveries and workers run: they see each other and
        nobody else.
        """
        from skillrun.proof.sandbox.sandbox import Sandbox
        from skillrun.proof.sandbox.visible import make_plan, own_python

        plan = make_plan(
            mount_at=self.folders.run / "root",
            root=self.root,
            pythons=[self.python, own_python()],
            servers=server_folders(),
            beside=self.beside,
            writable=[self.folders.folder],
            temporary=self.folders.tmp,
        )
        return Sandbox(plan, self.folders.run)

    def start_servers(self) -> None:
        """Starts the servers that the spec or the driver needs. Raises ServiceMissing where a
        binary is not there.
        """
        wanted = set(self.proof.services)
        if features_of(self.driver).needs_redis:
            wanted.add("redis")
        if not wanted:
            return
        from skillrun.proof.services.postgres import PostgresServer
        from skillrun.proof.services.redis import PORT, RedisServer

        # On the machine's own loopback the ports may be somebody's; in a network of their own they
        # are free.
        listens = self.sandbox.walls.has_network
        redis_port = PORT if listens else 0
        for name in sorted(wanted):
            folder = self.folders.run / name
            folder.mkdir(mode=0o755)
            server: Any
            if name == "redis":
                server = RedisServer(folder, self.sandbox, port=redis_port)
            else:
                server = PostgresServer(folder, self.sandbox, listens=listens)
            self.servers.append(server)
            self.urls[name] = server.url
            for part, text in getattr(server, "parts", {}).items():
                self.urls[f"{name}.{part}"] = text

    def fill_in(self, text: str) -> str:
        """A text of the spec with the values of {scratch}, {redis}, {postgresql} and their parts in
        the place of these words. Raises Blocked for a word that has none.
        """
        text = text.replace("{scratch}", str(self.folders.scratch))
        for name, url in self.urls.items():
            text = text.replace("{" + name + "}", url)
        left = _OF_A_SERVER.search(text)
        if left is not None:
            raise self._explain_unknown_word(left[0], left[1])
        return text

    def fill_in_texts(self, value: Any) -> Any:
        """The value with the words of every text within it filled in. Raises Blocked."""
        if isinstance(value, str):
            return self.fill_in(value)
        if isinstance(value, dict):
            return {key: self.fill_in_texts(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [self.fill_in_texts(inner) for inner in value]
        return value

    def _explain_unknown_word(self, word: str, service: str) -> Blocked:
        """The error that says why a word of the spec has no value here."""
        if service not in self.urls:
            hint = f"add it: proof: {{services: [{service}]}}"
            return Blocked(f"{word}: the proof starts no {service}", hint=hint)
        if self.sandbox.walls.has_network:
            known = ", ".join("{" + name + "}" for name in sorted(self.urls))
            return Blocked(f"{word}: there is no such word", hint=f"known are {known}")
        said = (
            f"{word}: the private {service} has no port, since the proof has no network of its own"
        )
        return Blocked(
            said, hint=f"use {{{service}}}, its socket, or run where namespaces are allowed"
        )

    def make_env(self, **more: str) -> dict[str, str]:
        """A clean environment for a process of the proof: it has nothing of the user's but PATH,
        with the interpreter's folder first.
        """
        home = Path(self.python).parent
        path = os.pathsep.join((str(home), os.environ.get("PATH", os.defpath)))
        env = {
            "PATH": path,
            "LANG": "C.UTF-8",
            "HOME": str(self.folders.home),
            "TMPDIR": str(self.folders.tmp),
            "PYTHONHASHSEED": "0",
            "PYTHONDONTWRITEBYTECODE": "1",
            "TZ": "UTC",
        }
        if (home.parent / "pyvenv.cfg").exists():
            env["VIRTUAL_ENV"] = str(home.parent)
        for name, value in self.proof.env.items():
            env[name] = self.fill_in(value)
        return env | more

    def set_up(self) -> None:
        """Runs proof.setup once and loads proof.fixture; what they leave is the snapshot that each
        schedule begins with. Raises Blocked with the end of the setup's output.
        """
        if self.python != sys.executable:
            prefix = self.sandbox.prefix(self.root)
            check_python(self.python, self.root, self.make_env(), prefix)
        if self.proof.setup is not None:
            self._run_setup(self.proof.setup)
        self._load_rows()
        self.take_snapshot()

    def _run_setup(self, setup: str) -> None:
        """Runs the setup's command line. Raises Blocked where it fails.

        Like a delivery it reaches the proof's own servers alone: a migration must not find the
        developer's database.
        """
        done = self.run_line(setup)
        if not done.ok:
            raise self._explain_failed_setup(setup, done)
        self.left_by_setup = None
        if done.survivors > 0:
            self.left_by_setup = done.note

    def _explain_failed_setup(self, setup: str, done: CommandResult) -> Blocked:
        """The error that says how the setup failed, and what to do."""
        unset = find_unset(done.tail, self.root)
        if unset is not None:
            return Blocked(f"proof.setup: {unset.message}", hint=unset.hint)
        found_no_server = "unreachable" in done.tail or "refused" in done.tail
        hint = f"run it by hand: {setup}"
        if done.timed_out:
            hint = "give it longer: proof.setup_timeout"
        elif found_no_server and self.sandbox.walls.has_network:
            hint = _NO_NETWORK
        last_lines = done.tail.strip().splitlines()[-3:]
        return Blocked(f"proof.setup: {done.words}: {' | '.join(last_lines)}", hint=hint)

    def run_line(self, text: str) -> CommandResult:
        """A command of the repository, such as its setup, where the deliveries are. Raises
        Blocked where the text has an unknown word.
        """
        from skillrun.validations.run import run_command

        return run_command(
            self.fill_in(text),
            cwd=self.root,
            env=aside.hook(self.folders.run / "aside", self.make_config(), self.make_env()),
            timeout_s=self.proof.setup_timeout,
            stop=lambda: self.abandoned,
            prefix=self.sandbox.prefix(self.root),
        )

    def _load_rows(self) -> None:
        """Writes the rows of proof.fixture into the database, after the setup has had its turn.
        Raises Blocked.
        """
        fixture = self.proof.fixture
        if fixture is None:
            return
        from skillrun.proof.fixtures.load import load_fixture, read_fixture

        store = self.find_store()
        if not isinstance(store, SqliteStore):
            raise Blocked(
                "proof.fixture: proof.database names no SQLite file",
                hint="load the rows of another database in proof.setup",
            )
        store.path.parent.mkdir(parents=True, exist_ok=True)
        load_fixture(
            read_fixture(self.root, fixture),
            store.path,
            self.folders.run,
            python=self.python,
            env=self.make_env(),
            prefix=self.sandbox.prefix(self.root),
        )

    def take_snapshot(self) -> None:
        """Remembers what is there now: every schedule begins with it."""
        self.folders.snapshot()
        for server in self.servers:
            server.snapshot()

    def keep_second(self) -> None:
        """Remembers what is there now beside the snapshot: what the application's second call has
        left.
        """
        self.folders.keep_second()
        for server in self.servers:
            server.keep_second()

    def restore(self, *, first: bool = False) -> None:
        """Puts everything back as the last snapshot has it; `first`: as the setup left it."""
        self.is_of_second = False
        self.folders.restore(first=first)
        for server in self.servers:
            if first:
                server.restore_first()
            else:
                server.restore()

    def restore_second(self) -> None:
        """Puts everything back as the application's second call has left it."""
        self.is_of_second = True
        self.folders.restore_second()
        for server in self.servers:
            server.restore_second()

    def restore_database(self) -> None:
        """Puts back what a backup holds: databases and files, as they were at the beginning of the
        schedule. Redis keeps what it has.
        """
        others = [server for server in self.servers if server.name != "redis"]
        if self.is_of_second:
            self.folders.restore_second()
            for server in others:
                server.restore_second()
            return
        self.folders.restore()
        for server in others:
            server.restore()

    def jump(self, seconds: float) -> None:
        """Lets so much time pass for the servers, as far as they can be told."""
        for server in self.servers:
            if hasattr(server, "jump"):
                server.jump(seconds)

    @property
    def server_pids(self) -> tuple[int, ...]:
        return tuple(server.pid for server in self.servers)

    def zygote(self, kind: str = "main") -> Zygote:
        """The interpreter that has imported the handler; it is started when it is first asked for.
        "fresh": one with another hash seed, time zone and name of its machine.
        """
        if kind in self.zygotes:
            return self.zygotes[kind]
        if self.abandoned:
            raise Blocked("the proof was interrupted")
        made = self._make_zygote(kind)
        self.zygotes[kind] = made
        made.start()
        owner = made.facts.owner
        # Whatever the sources looked like, the object says whose it is.
        if self.driver is None and owner is not None:
            made.stop()
            self.driver = owner
            # Another library, other programs.
            self.__dict__.pop("starts", None)
            del self.zygotes[kind]
            return self.zygote(kind)
        return made

    def _make_zygote(self, kind: str) -> Zygote:
        """A zygote of a kind, not started yet."""
        more: dict[str, str] = {}
        host = None
        if kind == "fresh":
            more = {"PYTHONHASHSEED": "4711", "TZ": "Pacific/Auckland"}
            host = _ANOTHER_HOST
        trigger = self.spec.trigger
        goes_by_local_time = (
            trigger is not None and trigger.type == "cron" and trigger.timezone is None
        )
        # Here the machine's own time zone is the job's.
        if "TZ" in self.proof.env or goes_by_local_time:
            more.pop("TZ", None)
        output = self.folders.run / f"{kind}.out"
        config = {**self.make_config(), "host": host}
        return Zygote(self.sandbox, self.python, config, self.make_env(**more), self.root, output)

    @cached_property
    def starts(self) -> list[tuple[str, ...]]:
        """The words of each command line of the repository that may begin the library's worker: the
        library's own programs first, then Python's scripts.
        """
        programs = (*features_of(self.driver).programs, "python", "python3")
        tree = Tree(self.root)
        found: list[tuple[str, ...]] = []
        # A folder that is no checkout: its modules are looked through.
        with contextlib.suppress(RepoUnusable):
            for program in programs:
                for start in find_commands(tree, program):
                    found += split_commands(start.words, program)
        return list(dict.fromkeys(found))

    def make_config(self) -> dict[str, Any]:
        """What the zygote is told at its start; see probe/forking.py."""
        spec = self.spec
        errors = []
        if spec.failures is not None:
            errors = [spell_error(error) for error in spec.failures.listed]
        paths = [str((self.root / path).resolve()) for path in self.paths]
        # Where the application is started: what lies there is imported too, after all else.
        if str(self.root) not in paths:
            paths.append(str(self.root))
        library = None
        if self.driver:
            library = FRAMEWORKS[self.driver].DRIVER
        shared = None
        if self.sandbox.walls.kind == "namespaces":
            # Elsewhere it is the machine's, and others make files there.
            shared = "/dev/shm"
        return {
            "root": str(self.root),
            "paths": paths,
            "handler": spec.handler,
            "library": library,
            "effects": [effect.model_dump() for effect in spec.effects or ()],
            "errors": errors,
            "values": self.fill_in_texts(self.proof.values),
            "scratch": str(self.folders.scratch),
            "free": [str(self.folders.tmp), str(self.folders.home), str(self.folders.run)],
            "shared": shared,
            "servers": self._list_server_addresses(),
            "kept": aside.committed(self.root),
            "settings": self._make_driver_settings(),
        }

    def _list_server_addresses(self) -> list[str]:
        """The folders and addresses of the servers that a delivery may connect to."""
        found = [str(self.folders.run)]
        for server in self.servers:
            found.append(str(server.folder))
            if server.address:
                found.append(server.address)
        return found

    def _make_driver_settings(self) -> dict[str, Any]:
        """What the spec and the repository tell a library's driver."""
        spec = self.spec
        letters = None
        if spec.dead_letter and spec.dead_letter.kind == "queue":
            letters = spec.dead_letter.where
        return {
            "message": spec.message,
            "fields": sorted((spec.payload or {}).get("properties", {})),
            "key": list(spec.idempotency.key) if spec.idempotency else [],
            "examples": list(spec.examples),
            "redis": self.urls.get("redis"),
            "enqueue": spec.enqueue.call if spec.enqueue else None,
            "queue": letters,
            "scratch": str(self.folders.scratch),
            "trigger": spec.trigger.model_dump() if spec.trigger else None,
            "owners": _list_owners(),
            "starts": self.starts,
            "acks_late": self.acks_late,
        }

    def find_store(self) -> Store | None:
        """The database that the state queries ask; None where the spec names none. Raises Refused
        for a server that is not the proof's.
        """
        database = self.proof.database
        if database is None:
            return None
        path = self.fill_in(database)
        for prefix in ("sqlite:///", "sqlite:"):
            path = path.removeprefix(prefix)
        if not path.startswith(("postgres", "redis")):
            # An absolute path stays as it is.
            return SqliteStore(aside.standing(self.folders.scratch, path))
        for server in self.servers:
            if getattr(server, "url", None) == path:
                found: Store = server
                return found
        raise Refused(
            f"proof.database: {database} is no server of the proof",
            hint='use "{postgresql}"',
        )

    def list_watched(self, store: Store | None) -> dict[str, Watched]:
        """The stores that tell what changed in them: the database, and each of the servers."""
        found: dict[str, Watched] = {}
        if store is not None:
            found[store.name] = store
        for server in self.servers:
            if hasattr(server, "contents"):
                found[server.name] = server
        return found

    def abandon(self) -> None:
        """Makes whoever works in it, in another thread, come to an end at once. `close` is still to
        be called then.
        """
        self.abandoned = True
        for zygote in list(self.zygotes.values()):
            zygote.abandon()

    def share_sandbox(self, other: Workplace) -> None:
        """Works in the sandbox of another workplace, whose folders and servers it has."""
        self.__dict__["sandbox"] = other.sandbox

    def stop_zygotes(self) -> None:
        """Ends its interpreters, and leaves folders and servers to the workplace they belong to."""
        for zygote in self.zygotes.values():
            with contextlib.suppress(Exception):
                zygote.stop()
        self.zygotes.clear()

    def close(self) -> None:
        """Leaves no process and no file."""
        self.stop_zygotes()
        for server in self.servers:
            with contextlib.suppress(Exception):
                server.stop()
        if "sandbox" in self.__dict__:
            self.sandbox.close()
        self.folders.remove()

    def find_loss(self) -> Blocked | None:
        """The error that says what of it was removed meanwhile; None where all is there."""
        if not self.root.exists():
            hint = "run again where the files stay while it runs"
            return Blocked(f"{self.root} was removed while the proof ran", hint=hint)
        return self.folders.find_loss()

    def __enter__(self) -> Workplace:
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        """Raises Blocked where its folder was gone by then."""
        try:
            raise_loss([self], error)
        finally:
            self.close()


def raise_loss(workplaces: Iterable[Workplace], error: BaseException | None) -> None:
    """Raises Blocked where something of these workplaces was removed by the time that their proof
    ends: neither its answer nor an `error` that comes of that says anything of the job.
    """
    if error is not None and not isinstance(error, Exception):
        return  # who was interrupted wants to hear of nothing else
    for workplace in workplaces:
        loss = workplace.find_loss()
        if loss is not None:
            raise loss from error


def _list_owners() -> list[str]:
    """The libraries whose tasks are objects: each has the name of its package."""
    return [id_ for id_ in FRAMEWORKS if features_of(id_).tasks_are_objects]


def server_folders() -> list[Path]:
    """The folders of the private servers' programs, as far as they are installed here."""
    from skillrun.proof.services.find import find_postgres, find_redis_server

    folders = []
    redis, postgres = find_redis_server(), find_postgres()
    if redis is not None:
        folders.append(redis.parent)
    if postgres is not None:
        # Its libraries and templates lie beside its bin.
        folders.append(postgres.parent)
    return folders
