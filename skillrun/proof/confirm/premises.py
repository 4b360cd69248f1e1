"""What a library's broker is made with: the files and servers of one confirmation."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path

from skillrun.frameworks.broker import Command
from skillrun.proof.services.postgres import PostgresServer
from skillrun.proof.services.redis import RedisServer
from skillrun.proof.services.resp import Reply, Resp, Word
from skillrun.proof.state import SqliteStore
from skillrun.proof.workplace import Workplace


class OpenRedis:
    """A server and a connection to it."""

    def __init__(self, server: RedisServer, *, own: bool) -> None:
        self._server, self._own = server, own
        self._resp = Resp(server.socket)
        self.socket, self.url = server.socket, server.url

    def call(self, *words: Word) -> Reply:
        return self._resp.call(*words)

    def pipeline(self, commands: Iterable[Command]) -> list[Reply]:
        return self._resp.pipeline(commands)

    def jump(self, seconds: float) -> None:
        self._server.jump(seconds)

    def close(self) -> None:
        self._resp.close()
        if self._own:
            with contextlib.suppress(Exception):
                self._server.stop()


class SettingPremises:
    """Those of a workplace whose servers run."""

    def __init__(self, workplace: Workplace) -> None:
        self._setting = workplace
        self.folder = workplace.folders.run
        letter = workplace.spec.dead_letter
        self.counts_dead_letters = letter is not None and letter.kind == "framework"

    def open_redis(self, *, own: bool) -> OpenRedis:
        if own:
            folder = self.folder / "broker"
            folder.mkdir()
            return OpenRedis(RedisServer(folder, self._setting.sandbox), own=True)
        servers = (one for one in self._setting.servers if isinstance(one, RedisServer))
        return OpenRedis(next(servers), own=False)

    def start_postgres(self) -> PostgresServer:
        return PostgresServer(self.folder / "broker", self._setting.sandbox)

    def find_sqlite_file(self) -> Path | None:
        store = self._setting.find_store()
        if isinstance(store, SqliteStore):
            return store.path
        return None
