"""Redis (and Valkey) clients: a boundary before and after each command of the handler's own."""

from __future__ import annotations

import contextlib
import contextvars
import re
import types
from collections.abc import Iterator, Sequence
from typing import Any

from .imports import when_imported
from .recorder import Recorder
from .swap import swap_code
from .values import shorten_text
from .wrap import wrap_calls

_READS = """
    bitcount bitfield_ro bitpos client command config dbsize debug echo eval_ro evalsha_ro exists expiretime
    fcall_ro geodist geohash geopos georadius_ro georadiusbymember_ro geosearch get getbit getrange hello hexists hget
    hgetall hkeys hlen hmget hrandfield hscan hstrlen httl hpttl hvals info keys lastsave latency lcs lindex llen lolwut
    lpos lrange memory mget object pexpiretime pfcount ping psubscribe pttl pubsub randomkey role scan scard script
    sdiff select sinter sintercard sismember slowlog smembers smismember sort_ro srandmember sscan strlen subscribe
    substr sunion time touch ttl type unwatch wait waitaof watch xinfo xlen xpending xrange xread xrevrange zcard zcount
    zdiff zinter zintercard zlexcount zmscore zrandmember zrange zrangebylex zrangebyscore zrank zrevrange
    zrevrangebylex zrevrangebyscore zrevrank zscan zscore zunion
"""
READS = frozenset(_READS.split())
# Where a command's first key stands, unless it follows the command's name at once.
_KEY_AT = {
    "eval": 3,
    "evalsha": 3,
    "eval_ro": 3,
    "evalsha_ro": 3,
    "fcall": 3,
    "fcall_ro": 3,
    "bitop": 2,
    "object": 2,
    "memory": 2,
    "xgroup": 2,
    "xinfo": 2,
    "blmpop": 3,
    "lmpop": 2,
    "bzmpop": 3,
    "zmpop": 2,
    "zunion": 2,
    "zinter": 2,
    "zdiff": 2,
    "sintercard": 2,
    "zintercard": 2,
}
_NO_KEY = frozenset(
    (
        "client",
        "command",
        "config",
        "dbsize",
        "debug",
        "echo",
        "flushall",
        "flushdb",
        "info",
        "keys",
        "lastsave",
        "ping",
        "role",
        "scan",
        "script",
        "select",
        "time",
        "unwatch",
        "wait",
    )
)
_NO_NAME = re.compile(r"[^\w.]")
_MOST_COMMANDS = 50  # of a pipeline that are told by name
# What writes a file, reaches another server or a subscriber, or changes this server; of some it is
# the second word that says so.
_LEAVING = frozenset(
    """
    bgrewriteaof bgsave debug failover migrate publish replicaof save shutdown slaveof spublish
    """.split()
)
_LEAVING_WORDS = {
    "acl": ("deluser", "load", "save", "setuser"),
    "cluster": ("failover", "meet"),
    "config": ("rewrite", "set"),
    "module": ("load", "loadex"),
}
_WORDS = dict.fromkeys(_LEAVING_WORDS, 2)
_inside: contextvars.ContextVar[bool] = contextvars.ContextVar("skillrun_redis", default=False)


def install_redis(recorder: Recorder) -> None:
    """Hooks both clients of both packages when they are imported."""
    hook = RedisHook(recorder)
    for package in ("redis", "valkey"):
        for module in (f"{package}.client", f"{package}.asyncio.client"):
            when_imported(module, hook.hook_client)
        when_imported(f"{package}.commands.core", hook.hook_scripts)
        when_imported(f"{package}.utils", _read_version_once)


def _read_version_once(module: Any) -> None:
    """A client looks its version up in the package's metadata: milliseconds in each delivery."""
    if isinstance(getattr(module, "get_lib_version", None), types.FunctionType):
        version = module.get_lib_version()
        swap_code(module.get_lib_version, lambda: version)


class RedisHook:
    """What a command does inside of another one, such as loading a script, is part of that one."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder

    def hook_client(self, module: Any) -> None:
        """Hooks the module's client and its pipeline."""
        client = getattr(module, "Redis", None) or module.Valkey
        wrap_calls(
            client, "execute_command", lambda self_, *args, **kwargs: self.around_command(args)
        )
        wrap_calls(
            module.Pipeline,
            "immediate_execute_command",
            lambda self_, *args, **kwargs: self.around_command(args),
        )
        wrap_calls(
            module.Pipeline,
            "execute",
            lambda pipeline, *args, **kwargs: self.around_pipeline(pipeline),
        )

    def hook_scripts(self, module: Any) -> None:
        """One call of a script is one boundary, whether or not the server had forgotten the
        script.
        """
        for name in ("Script", "AsyncScript"):
            if hasattr(module, name):
                wrap_calls(getattr(module, name), "__call__", self.around_script)

    def around_script(
        self, script: Any, keys: Any = None, args: Any = None, client: Any = None
    ) -> Any:
        if client is None:
            client = script.registered_client
        if hasattr(client, "command_stack"):
            return contextlib.nullcontext()  # into a pipeline
        # An iterator may be read once only: the command needs it.
        if isinstance(keys, (list, tuple)):
            known = keys
        else:
            known = ()
        return self.around_command(("EVALSHA", script.sha, len(known), *known))

    def around_command(self, args: Sequence[Any]) -> Any:
        """Boundaries around one command."""
        if not self.is_telling():
            return contextlib.nullcontext()
        self.tell_leaving(args)
        return self.between_boundaries(verb_of(args), key_of(args), may_write(args), {})

    def around_pipeline(self, pipeline: Any) -> Any:
        """Boundaries around all that a pipeline sends at once; "exec" where it is one MULTI."""
        if not self.is_telling() or not pipeline.command_stack:
            return contextlib.nullcontext()
        commands = [_args_of(entry) for entry in pipeline.command_stack]
        # The asynchronous client's name for it.
        if hasattr(pipeline, "is_transaction"):
            is_transaction = pipeline.is_transaction
        else:
            is_transaction = pipeline.transaction
        verb = "pipeline"
        if is_transaction or pipeline.explicit_transaction:
            verb = "exec"
        for args in commands:
            self.tell_leaving(args)
        first = commands[:_MOST_COMMANDS]
        shown = [f"{verb_of(args)} {key_of(args)}".rstrip() for args in first]
        key = next(filter(None, map(key_of, commands)), "")
        return self.between_boundaries(
            verb, key, any(map(may_write, commands)), {"commands": shown}
        )

    def tell_leaving(self, args: Sequence[Any]) -> None:
        """A command that somebody else than this server gets, or that changes the server."""
        if not self.recorder.effect_depth and leaves_server(args):
            words = " ".join(map(_decode_text, args[:2])).lower().split()
            command = " ".join(words[: _WORDS.get(words[0], 1)])
            detail = f"{command.upper()} of Redis"
            self.recorder.emit(
                "undeclared", kind="store", detail=detail, place=self.recorder.find_place()
            )

    def is_telling(self) -> bool:
        """Whether what happens now is the handler's own doing, and no part of another command."""
        return not _inside.get() and self.recorder.is_own_doing

    @contextlib.contextmanager
    def between_boundaries(
        self, verb: str, key: str, write: bool, more: dict[str, Any]
    ) -> Iterator[None]:
        # A boundary's name is part of a schedule's text: "script load" has a blank.
        name = self.recorder.next_name("redis-" + _NO_NAME.sub("-", verb))
        fields = {
            "kind": "redis",
            "verb": verb,
            "key": key,
            "write": write,
            "store": "redis",
            "place": self.recorder.find_place(),
            **more,
        }
        self.recorder.meet_boundary("before", name, **fields)
        token = _inside.set(True)
        try:
            yield
        finally:
            _inside.reset(token)
        self.recorder.meet_boundary("after", name, **fields)


def _args_of(entry: Any) -> Sequence[Any]:
    """A pipeline holds (args, options), a cluster's pipeline an object."""
    args: Sequence[Any] = entry.args if hasattr(entry, "args") else entry[0]
    return args


def verb_of(args: Sequence[Any]) -> str:
    """The command in lower case, e.g. "set" or "script load"."""
    if not args:
        return "?"
    return _decode_text(args[0]).lower()


def may_write(args: Sequence[Any]) -> bool:
    """Whether a command may change anything; what is not known to read does."""
    return verb_of(args).partition(" ")[0] not in READS


def leaves_server(args: Sequence[Any]) -> bool:
    """Whether a command has an effect beyond the keys of this server.

    >>> leaves_server(["CONFIG", "SET", "dir", "/tmp"]), leaves_server(["CONFIG GET", "dir"])
    (True, False)
    """
    words = " ".join(map(_decode_text, args[:2])).lower().split()
    if not words:
        return False
    if words[0] in _LEAVING:
        return True
    return len(words) > 1 and words[1] in _LEAVING_WORDS.get(words[0], ())


def key_of(args: Sequence[Any]) -> str:
    """The first key of a command, shortened; "" where it has none.

    >>> key_of(["EVALSHA", "abc", 1, b"lock:1", "x"])
    'lock:1'
    """
    words = [_decode_text(part) for part in args]
    if words:
        # "XINFO STREAM" is given as one.
        words[:1] = words[0].split()
    verb = ""
    if words:
        verb = words[0].lower()
    if verb in ("xread", "xreadgroup"):
        lower = [word.lower() for word in words]
        if "streams" not in lower[:-1]:
            return ""
        return shorten_text(words[lower.index("streams") + 1])
    at = _KEY_AT.get(verb, 1)
    if verb in _NO_KEY or at >= len(words):
        return ""
    # EVAL SCRIPT 0: a script without keys.
    if at == 3 and words[2] == "0":
        return ""
    return shorten_text(words[at])


def _decode_text(value: Any) -> str:
    if isinstance(value, (bytes, bytearray)):
        return value.decode("utf-8", "backslashreplace")
    return str(value)
