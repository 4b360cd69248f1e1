"""A Redis of the proof's own: what it holds, and how its time jumps."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import pytest
import redis
from serving import client, is_running, need, soon

from skillrun.proof.services.errors import ServiceFailed
from skillrun.proof.services.find import find_redis_server
from skillrun.proof.services.redis import RedisServer


def fill(server: RedisServer) -> None:
    db = client(server)
    db.set("text", b"a\xff\r\n", ex=100)
    db.rpush("list", "b", "a", "b")
    db.sadd("set", "b", "c", "a")
    db.hset("hash", mapping={"y": "2", "x": "1"})
    db.zadd("zset", {"late": 2.5, "early": 1})
    db.xadd("stream", {"field": "value"})
    client(server, 3).set("text", "elsewhere")


FILLED = {
    "text": {"type": "string", "value": "a\\xff\r\n", "ttl": 100},
    "list": {"type": "list", "value": ["b", "a", "b"], "ttl": None},
    "set": {"type": "set", "value": ["a", "b", "c"], "ttl": None},
    "hash": {"type": "hash", "value": {"x": "1", "y": "2"}, "ttl": None},
    "zset": {"type": "zset", "value": {"early": 1.0, "late": 2.5}, "ttl": None},
    "stream": {"type": "stream", "value": 1, "ttl": None},
    "db3:text": {"type": "string", "value": "elsewhere", "ttl": None},
}


def test_a_dump_is_readable(server: RedisServer) -> None:
    fill(server)
    assert server.dump() == FILLED


def test_a_snapshot_brings_everything_back(server: RedisServer) -> None:
    fill(server)
    server.snapshot()
    client(server).delete("list", "stream")
    client(server).persist("text")
    client(server).set("new", 1)
    client(server, 5).set("new", 1)
    server.restore()
    assert server.dump() == FILLED
    assert client(server).xrange("stream")[0][1] == {b"field": b"value"}


def test_without_keys_in_the_snapshot_all_are_gone(server: RedisServer) -> None:
    fill(server)
    server.restore()
    assert server.dump() == {}


def test_restored_keys_have_the_time_that_was_left(server: RedisServer) -> None:
    client(server).set("lock", "x", ex=100)
    server.snapshot()
    server.jump(60)
    assert server.dump()["lock"]["ttl"] == 40
    server.restore()
    assert server.dump()["lock"]["ttl"] == 100


def test_a_jump_ends_keys_whose_time_is_over(server: RedisServer) -> None:
    client(server).mset({"stays": 1, "ends": 1, "lasts": 1})
    client(server).pexpire("ends", 60_000)
    client(server).expire("lasts", 61)
    client(server, 2).set("ends", 1, ex=59)
    server.jump(60)
    assert {key: entry["ttl"] for key, entry in server.dump().items()} == {
        "stays": None,
        "lasts": 1,
    }


def test_a_server_whose_clients_wait_is_idle(server: RedisServer) -> None:
    waiting = client(server)
    thread = threading.Thread(target=lambda: waiting.blpop(["queue"], timeout=30))
    thread.start()
    assert soon(lambda: client(server).info("clients")["blocked_clients"] == 1)
    assert soon(server.is_idle)
    client(server).rpush("queue", "x")
    thread.join()


def test_a_working_server_is_not_idle(server: RedisServer) -> None:
    client(server).config_set("busy-reply-threshold", 50)  # from when on a script can be killed
    busy, ends = client(server), []

    def work() -> None:
        with pytest.raises(redis.ResponseError) as killed:
            busy.eval("while true do end", 0)
        ends.append(killed.value)

    thread = threading.Thread(target=work)
    thread.start()
    time.sleep(0.1)
    seen = [server.is_idle() for _ in range(20)]
    assert soon(lambda: thread.is_alive() and client(server).script_kill())
    thread.join()
    assert not any(seen) and "killed" in str(ends[0])


def test_no_port_is_open_and_servers_do_not_meet(server: RedisServer, short: Path) -> None:
    with RedisServer(short / "other") as other:
        client(other).set("key", 1)
        assert client(other).config_get("port") == {"port": "0"}
        assert server.dump() == {}


def test_nothing_is_left_of_a_stopped_redis(short: Path) -> None:
    need(find_redis_server(), "redis-server")
    server = RedisServer(short / "r")
    client(server).set("key", 1)
    server.stop()
    server.stop()
    assert not is_running(server.pid)
    assert [path.name for path in (short / "r").iterdir()] == ["redis.log"]


def test_a_redis_that_was_ended_by_others_says_so(short: Path) -> None:
    need(find_redis_server(), "redis-server")
    with RedisServer(short) as server:
        os.kill(server.pid, signal.SIGKILL)
        with pytest.raises(ServiceFailed, match="the private Redis does not answer"):
            server.dump()
    assert not server.socket.exists()


def test_a_redis_that_does_not_start_shows_its_last_words(short: Path) -> None:
    need(find_redis_server(), "redis-server")
    (short / "r.sock").mkdir()
    with pytest.raises(
        ServiceFailed, match=r"the private Redis ended while it started: .*[Uu]nix socket"
    ):
        RedisServer(short)


def test_a_path_too_long_for_a_socket_is_said(short: Path) -> None:
    need(find_redis_server(), "redis-server")
    with pytest.raises(
        ServiceFailed, match=r"a Unix socket's path has at most 10\d bytes here, this one has 1"
    ) as failed:
        RedisServer(short / ("x" * 100))
    assert failed.value.hint is not None and "TMPDIR" in failed.value.hint


def test_a_refused_command_is_an_error_after_all_replies(server: RedisServer) -> None:
    client(server).rpush("list", 1)
    with pytest.raises(ServiceFailed, match="refuses GET: WRONGTYPE"):
        server._resp.pipeline([("SELECT", 0), ("GET", "list"), ("SET", "key", "1")])
    assert server._resp.call("GET", "key") == b"1"


# PostgreSQL
