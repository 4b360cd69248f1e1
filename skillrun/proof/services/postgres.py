"""A private PostgreSQL on a Unix socket, which can be put back within a millisecond, and asked."""

from __future__ import annotations

import contextlib
import os
import pwd
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from skillrun.proof.services import pgnumbers, pgsequences
from skillrun.proof.services.child import Child, check_socket_path, exec_line, unlink_quietly
from skillrun.proof.services.errors import ServiceFailed, ServiceMissing
from skillrun.proof.services.find import find_postgres, named_postgres
from skillrun.proof.services.pgcontents import DEFINITIONS, DIGESTS
from skillrun.proof.services.pgsequences import Sequence
from skillrun.proof.services.pgwire import Row, Session
from skillrun.proof.store_watch import Contents

if TYPE_CHECKING:
    from skillrun.proof.sandbox.sandbox import Sandbox

HINT = "apt install postgresql, or pip install pgserver"
USER, DATABASE = "postgres", "app"
# The cluster's own superuser, which nobody but skillrun is.
_OWNER = "skillrun"
LOOPBACK, PORT = "127.0.0.1", 5432
_START_S = 60.0
_END_CLIENTS_S = 10.0
_ROOT_MAY_BE = (USER, "nobody")  # postgres refuses to run as root

# Safe to lose, so nothing waits for the disk. No /dev/shm: what is killed leaves nothing there. UTC
# as in the usual container image. Nothing in the background that would differ between two runs.
_SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "autovacuum": "off",
    "jit": "off",
    "shared_buffers": "32MB",
    "dynamic_shared_memory_type": "mmap",
    "timezone": "UTC",
    "log_timezone": "UTC",
}
_NAMES = (DATABASE, "app_next", "app_snapshot", "app_first", "app_second", "app_old")
_ADMIN = {"application_name": "skillrun", "allow_system_table_mods": "on"}
_READER = {
    "application_name": "skillrun",
    "client_encoding": "UTF8",
    "DateStyle": "ISO",
    "IntervalStyle": "postgres",
    "lock_timeout": "10s",
    "statement_timeout": "20s",
}


class PostgresServer:
    """Starts at once; the database `app` is empty. One to a folder. Raises ServiceMissing or
    ServiceFailed.

    A folder that is used again saves the half second of initdb. When skillrun runs as root and the
    user that it becomes may not enter `folder`, everything is in one under /tmp that `stop`
    removes: ask `url` and `folder` for the place. The user is `postgres` without a password: a
    superuser until the first snapshot, and then the owner of its database. Sort order and case are
    those of C. `listens`: also on the loopback address of its sandbox, at PORT.
    """

    name = "postgresql"

    def __init__(
        self, folder: Path, sandbox: Sandbox | None = None, *, listens: bool = False
    ) -> None:
        binaries = find_postgres()
        if binaries is None:
            named = named_postgres()
            where = f"in {named}" if named else "here"
            hint = (
                "SKILLRUN_TEST_PG names the folder that holds postgres and initdb"
                if named
                else HINT
            )
            raise ServiceMissing(
                f"the proof needs a private PostgreSQL, and there is no postgres {where}", hint=hint
            )
        identity = _identity()
        self.listens = listens
        self.folder = _own_folder(folder.absolute(), identity)
        self._is_borrowed = self.folder != folder.absolute()
        self.socket = self.folder / ".s.PGSQL.5432"
        check_socket_path(self.folder / ".s.PGSQL.5432.lock")
        self._source, self._has_next, self._has_first = "template1", False, False
        # Database -> its columns with numbers of a sequence, as they stood when it was kept.
        self._numbered: dict[str, dict[pgnumbers.Column, pgnumbers.Numbered]] = {}
        self._since: dict[pgnumbers.Column, pgnumbers.Numbered] = {}
        self._reader: Session | None = None
        socket_mode = "0700" if identity is None else "0777"
        command = _command(binaries, self.folder, socket_mode=socket_mode, listens=listens)
        log = self.folder / "postgres.log"
        self._child = Child("PostgreSQL", command, log=log, identity=identity, sandbox=sandbox)
        try:
            self._child.wait_until(self._answers, _START_S)
            self._admin = self._connect()
            self._run(*(f"DROP DATABASE IF EXISTS {name}" for name in _NAMES))
            self._make_user()
            self._run(*self._copy_to(DATABASE))
        except BaseException:
            self._end()
            raise

    def __enter__(self) -> PostgresServer:
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """For libpq (psycopg, psycopg2), SQLAlchemy (with its driver: `postgresql+psycopg:`) and
        dj-database-url.

        The folder is a parameter, since each of them reads a path in the place of the host
        differently.
        """
        return f"postgresql://{USER}@/{DATABASE}?host={quote(str(self.folder))}"

    @property
    def address(self) -> str:
        """Where it listens, as HOST:PORT; "" where it does not."""
        if self.listens:
            return f"{LOOPBACK}:{PORT}"
        return ""

    @property
    def parts(self) -> dict[str, str]:
        """What settings are told that put the URL together themselves; there is no password."""
        host = LOOPBACK if self.listens else str(self.folder)
        return {"host": host, "port": str(PORT), "user": USER, "name": DATABASE}

    @property
    def pid(self) -> int:
        """The server's first process."""
        return self._child.pid

    def snapshot(self) -> None:
        """Remember the database as it is; the first memory stays beside it. Ends every connection
        to it.
        """
        numbered = self._read_numbered()
        self._lower_user()
        if self._source == "app_snapshot" and not self._has_first:
            self._run("ALTER DATABASE app_snapshot RENAME TO app_first")
            self._has_first = True
            self._numbered["app_first"] = self._numbered["app_snapshot"]
        self._numbered["app_snapshot"] = self._since = numbered
        self._run(
            "DROP DATABASE IF EXISTS app_next",
            "DROP DATABASE IF EXISTS app_snapshot",
            f"ALTER DATABASE {DATABASE} RENAME TO app_snapshot",
        )
        self._source, self._has_next = "app_snapshot", False
        self._run(*self._copy_to(DATABASE))
        self._make_next()

    def restore(self) -> None:
        """The database as at the snapshot (empty where there is none). Ends every connection to it.

        The copy was made meanwhile: two databases change their names, then the server makes the
        next copy while the caller goes on. Everything is put back but roles, which belong to no
        database.
        """
        if not self._has_next:
            self._make_next()
        self._since = self._numbered.get(self._source, {})
        self._end_clients()
        self._run(
            f"ALTER DATABASE {DATABASE} RENAME TO app_old; ALTER DATABASE app_next RENAME TO"
            f" {DATABASE}"
        )
        self._admin.send("DROP DATABASE app_old")
        self._make_next()

    def restore_first(self) -> None:
        """The database as at the first snapshot. Ends every connection to it."""
        if not self._has_first:
            self.restore()
            return
        self._replace_by_copy("app_first")

    def keep_second(self) -> None:
        """Remember the database as it is, beside the snapshot. Ends every connection to it."""
        self._numbered["app_second"] = self._read_numbered()
        self._run("DROP DATABASE IF EXISTS app_second", *self._copy_to("app_second", DATABASE))

    def restore_second(self) -> None:
        """The database as `keep_second` has remembered it. Ends every connection to it."""
        self._replace_by_copy("app_second")

    def _replace_by_copy(self, source: str) -> None:
        """Puts a copy of another database in the place of the application's."""
        self._since = self._numbered.get(source, {})
        self._end_clients()
        self._run(f"ALTER DATABASE {DATABASE} RENAME TO app_old", *self._copy_to(DATABASE, source))
        self._admin.send("DROP DATABASE app_old")

    def _make_user(self) -> None:
        """What a setup does may need a superuser: an extension that is not trusted, another role's
        table.
        """
        if not self._run(f"SELECT 1 FROM pg_roles WHERE rolname = '{USER}'"):
            self._run(f"CREATE ROLE {USER}")
        self._run(f"ALTER ROLE {USER} LOGIN SUPERUSER CREATEDB CREATEROLE BYPASSRLS")
        if not self._run("SELECT 1 WHERE current_setting('server_version_num')::int < 150000"):
            return
        # From 15 on the schema belongs to whoever owns the database.
        with contextlib.closing(self._connect("template1")) as session:
            session.run(f"ALTER SCHEMA public OWNER TO {USER}")

    def _lower_user(self) -> None:
        """A delivery owns its database and no more: no program and no file of the server's machine.

        It may still become any role that the setup made, and look at what a monitor may.
        """
        others = f"rolname !~ '^pg_' AND rolname NOT IN ('{USER}', '{_OWNER}')"
        roles = self._run(f"SELECT quote_ident(rolname) FROM pg_roles WHERE {others}")
        for (role,) in roles:
            self._run(f"GRANT {role} TO {USER}")
        self._run(f"GRANT pg_monitor TO {USER}", f"ALTER ROLE {USER} NOSUPERUSER")

    def contents(self) -> Contents:
        """The rows of all tables, large objects, and what defines the things in the database."""
        with contextlib.closing(self._connect(DATABASE)) as session:
            definitions = {
                (str(kind), str(name), str(table)): str(text)
                for kind, name, table, text in session.run(DEFINITIONS)
            }
            asked = [str(row[0]) for row in session.run(DIGESTS)]
            rows = sorted(session.run(" UNION ALL ".join(asked)), key=repr)
        tables: dict[str, str] = {}
        # There are several rows where a table has partitions.
        for name, digest in rows:
            tables[str(name)] = tables.get(str(name), "") + str(digest or "")
        return Contents(tables, definitions)

    def query(self, sql: str) -> list[Row]:
        """The rows: int, float, bool, None, all else as text (times in UTC). Raises ServiceFailed
        with its message.
        """
        if self._reader is None:
            self._reader = Session(self.socket, user=USER, database=DATABASE, settings=_READER)
        return self._reader.run(sql)

    def query_without_gaps(self, sql: str) -> list[Row]:
        """As `query`, to compare two answers: numbers that rows got from a sequence since the last
        restore are shown as they would be if no transaction had been undone.
        """
        rows = self.query(sql)
        if self._reader is None or not rows:
            return rows
        origins = self._reader.origins
        return pgnumbers.show_without_gaps(self._reader, rows, origins, self._since)

    def _read_numbered(self) -> dict[pgnumbers.Column, pgnumbers.Numbered]:
        """The columns with numbers of a sequence. Ends every connection to the database: one that
        was left may hold a table.
        """
        self._end_clients()
        with contextlib.closing(self._connect(DATABASE)) as session:
            found = pgnumbers.read_numbered(session)
        self._end_clients()
        return found

    def read_sequences(self) -> list[Sequence]:
        """How far the columns with numbers of their own have come."""
        with contextlib.closing(self._connect(DATABASE)) as session:
            return pgsequences.read_sequences(session)

    def put_sequences_back(self, before: list[Sequence]) -> None:
        """Gives back the numbers that were drawn since and that no row has: a transaction that is
        undone leaves a gap.
        """
        with contextlib.closing(self._connect(DATABASE)) as session:
            pgsequences.put_back(session, before)

    def clients(self) -> int:
        """The connections that the server still knows: after a kill it takes a moment to see that
        one has ended.
        """
        theirs = f"datname = '{DATABASE}' AND application_name <> '{_ADMIN['application_name']}'"
        return len(self._run(f"SELECT pid FROM pg_stat_activity WHERE {theirs}"))

    def stop(self) -> None:
        """Leaves no process and no socket."""
        self._admin.close()
        self._close_reader()
        self._end()

    def _end(self) -> None:
        # The fast shutdown: it waits for no client.
        self._child.stop(signal.SIGINT)
        unlink_quietly(self.socket, self.folder / ".s.PGSQL.5432.lock")
        if self._is_borrowed:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _connect(self, database: str = "postgres") -> Session:
        return Session(self.socket, user=_OWNER, database=database, settings=_ADMIN)

    def _answers(self) -> bool:
        try:
            self._connect().close()
        except ServiceFailed:
            return False
        return True

    def _close_reader(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def _run(self, *statements: str) -> list[Row]:
        rows: list[Row] = []
        for statement in statements:
            rows = self._admin.run(statement)
        return rows

    def _make_next(self) -> None:
        """Let the server make a copy; nobody waits for it before it is needed."""
        for statement in self._copy_to("app_next"):
            self._admin.send(statement)
        self._has_next = True

    def _copy_to(self, name: str, source: str | None = None) -> tuple[str, str]:
        """ALTER DATABASE … SET is kept outside the database and not copied with it."""
        source = source or self._source
        return (
            f"CREATE DATABASE {name} TEMPLATE {source} OWNER {USER}",
            (
                "INSERT INTO pg_db_role_setting SELECT new.oid, setrole, setconfig FROM"
                " pg_db_role_setting JOIN pg_database old ON old.oid = setdatabase AND old.datname"
                f" = '{source}' JOIN pg_database new ON new.datname = '{name}'"
            ),
        )

    def _end_clients(self) -> None:
        """Wait until none is left: the server itself would look again only every 100 ms."""
        self._close_reader()
        ask = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{DATABASE}'"
        deadline = time.monotonic() + _END_CLIENTS_S
        while self._run(ask):
            if time.monotonic() > deadline:
                raise self._child.failed("keeps connections that it was asked to end")
            time.sleep(0.0005)


def _identity() -> tuple[int, int] | None:
    """The user and group that root becomes; None: stay."""
    if os.geteuid() != 0:
        return None
    for name in _ROOT_MAY_BE:
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return entry.pw_uid, entry.pw_gid
    return 65534, 65534


def _own_folder(folder: Path, identity: tuple[int, int] | None) -> Path:
    """The folder, made, and given to the user who will run the server; another one where that user
    cannot enter it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if identity is None:
        return folder
    _give(folder, identity[0])
    if _can_enter(folder, *identity):
        return folder
    borrowed = Path(tempfile.mkdtemp(prefix="skillrun-pg-", dir="/tmp"))
    _give(borrowed, identity[0])
    return borrowed


def _give(folder: Path, user: int) -> None:
    """Whoever runs with our group may still enter: root without its powers, as in a user namespace,
    is such a one.
    """
    os.chown(folder, user, os.getegid())
    folder.chmod(0o710)


def _can_enter(folder: Path, user: int, group: int) -> bool:
    """Asked of the system, since every folder above counts, and access lists too."""
    command = ["/bin/sh", "-c", 'cd "$0"', str(folder)]
    done = subprocess.run(
        command, user=user, group=group, extra_groups=[], cwd="/", capture_output=True
    )
    return done.returncode == 0


def _command(binaries: Path, folder: Path, *, socket_mode: str, listens: bool) -> str:
    """Make the cluster where there is none, then become the server. An initdb that is ended leaves
    no half cluster.
    """
    data, half = folder / "data", folder / "data.new"
    # The setting is a list, in which a comma would separate: hence the quotes.
    quoted = '"' + str(folder).replace('"', '""') + '"'
    settings = {
        **_SETTINGS,
        "unix_socket_directories": quoted,
        "unix_socket_permissions": socket_mode,
    }
    if listens:
        settings["listen_addresses"] = LOOPBACK
    words = (word for name, value in settings.items() for word in ("-c", f"{name}={value}"))
    start = exec_line([str(binaries / "postgres"), "-D", str(data), *words])
    if (data / "PG_VERSION").exists():
        return start
    access = ["-U", _OWNER, "-A", "trust", "--no-sync", "--locale=C", "--encoding=UTF8"]
    initdb = shlex.join([str(binaries / "initdb"), "-D", str(half), *access])
    shutil.rmtree(half, ignore_errors=True)
    return f"{initdb} && mv {shlex.join([str(half), str(data)])} && {start}"
