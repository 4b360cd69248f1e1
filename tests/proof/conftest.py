"""Fixtures that several tests of the proof share; who needs none of them pays nothing but the import."""

from escaping import tcp_sink, unix_sink
from serving import one_postgres, one_redis, postgres, server, short

__all__ = ["one_postgres", "one_redis", "postgres", "server", "short", "tcp_sink", "unix_sink"]
