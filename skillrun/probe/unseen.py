"""Database clients, brokers and services that the proof cannot see into: their use makes the
verdict incomplete.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import types
from collections.abc import Callable, Iterator
from typing import Any

from .imports import when_imported
from .recorder import Recorder
from .swap import replace_everywhere, swap_code

# (module that defines it, what is called to use it, its name for people)
CLIENTS = (
    ("pymysql.connections", "Connection.__init__", "MySQL (pymysql)"),
    ("MySQLdb", "connect", "MySQL (MySQLdb)"),
    ("mysql.connector", "connect", "MySQL (mysql.connector)"),
    ("mysql.connector.aio", "connect", "MySQL (mysql.connector)"),
    ("mariadb", "connect", "MariaDB"),
    ("aiomysql.connection", "Connection.__init__", "MySQL (aiomysql)"),
    ("asyncmy.connection", "connect", "MySQL (asyncmy)"),
    ("pg8000.core", "CoreConnection.__init__", "PostgreSQL (pg8000)"),
    ("aiopg.connection", "connect", "PostgreSQL (aiopg)"),
    ("oracledb", "connect", "Oracle (oracledb)"),
    ("oracledb", "connect_async", "Oracle (oracledb)"),
    ("cx_Oracle", "connect", "Oracle (cx_Oracle)"),
    ("pyodbc", "connect", "ODBC (pyodbc)"),
    ("aioodbc", "connect", "ODBC (aioodbc)"),
    ("pymssql", "connect", "SQL Server (pymssql)"),
    ("apsw", "Connection", "SQLite (apsw)"),
    ("pysqlite3.dbapi2", "connect", "SQLite (pysqlite3)"),
    ("sqlcipher3.dbapi2", "connect", "SQLite (sqlcipher3)"),
    ("libsql", "connect", "SQLite (libsql)"),
    ("duckdb", "connect", "DuckDB"),
    ("pymongo.synchronous.mongo_client", "MongoClient.__init__", "MongoDB (pymongo)"),
    ("pymongo.synchronous.mongo_client", "MongoClient._checkout", "MongoDB (pymongo)"),
    ("pymongo.asynchronous.mongo_client", "AsyncMongoClient.__init__", "MongoDB (pymongo)"),
    ("pymongo.asynchronous.mongo_client", "AsyncMongoClient._checkout", "MongoDB (pymongo)"),
    ("pymongo.mongo_client", "MongoClient.__init__", "MongoDB (pymongo)"),
    ("motor.core", "AgnosticClient.__init__", "MongoDB (motor)"),
    ("coredis.client.basic", "Client.__init__", "Redis (coredis)"),
    ("aioredis.client", "Redis.execute_command", "Redis (aioredis)"),
    ("botocore.client", "BaseClient._make_api_call", "AWS (botocore)"),
    ("aiobotocore.client", "AioBaseClient._make_api_call", "AWS (aiobotocore)"),
    ("grpc", "insecure_channel", "gRPC"),
    ("grpc", "secure_channel", "gRPC"),
    ("grpc._channel", "_UnaryUnaryMultiCallable.__call__", "gRPC"),
    ("google.cloud.client", "Client.__init__", "Google Cloud"),
    ("kafka.producer.kafka", "KafkaProducer.send", "Kafka (kafka-python)"),
    ("kafka.producer.kafka", "KafkaProducer.__init__", "Kafka (kafka-python)"),
    ("confluent_kafka", "Producer", "Kafka (confluent_kafka)"),
    ("aiokafka.producer.producer", "AIOKafkaProducer.send", "Kafka (aiokafka)"),
    ("pika.connection", "Connection.__init__", "RabbitMQ (pika)"),
    ("pika.channel", "Channel.basic_publish", "RabbitMQ (pika)"),
    ("cassandra.cluster", "Session.execute_async", "Cassandra"),
    ("pymemcache.client.base", "Client.__init__", "memcached (pymemcache)"),
    ("pylibmc", "Client", "memcached (pylibmc)"),
)


def watch_clients(recorder: Recorder) -> None:
    """Once, in the zygote."""
    watch = Watch(recorder)
    for module, path, name in CLIENTS:
        when_imported(module, functools.partial(watch.watch_client, path=path, name=name))


class Watch:
    """Tells once a delivery of each client that the handler uses, or that was opened before it."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self.told: set[str] = set()
        self.early: set[str] = set()
        self._begin = recorder.begin_delivery
        recorder.begin_delivery = self.begin_delivery  # type: ignore[method-assign]

    def begin_delivery(self, channel: Any, plan: Any) -> None:
        """As the recorder's; what is done with a connection from before the fork is never seen."""
        self._begin(channel, plan)
        for name in sorted(self.early):
            self.recorder.emit(
                "undeclared", kind="store", detail=f"{name}, opened at import", place=None
            )

    def tell_client(self, name: str, opens: bool = False) -> None:
        if opens and not self.recorder.is_delivery:
            self.early.add(name)
        if self.recorder.is_own_doing and name not in self.told and not self.recorder.effect_depth:
            self.told.add(name)
            self.recorder.emit(
                "undeclared", kind="store", detail=name, place=self.recorder.find_place()
            )

    def watch_client(self, module: Any, *, path: str, name: str) -> None:
        """Tells of calls of `path`; a version that has no such member is left to the audit."""
        owner = module
        *parents, last = path.split(".")
        with contextlib.suppress(AttributeError, TypeError):
            for parent in parents:
                owner = getattr(owner, parent)
            value = getattr(owner, last)
            if isinstance(value, types.FunctionType):
                self._watch_function(value, name)
            else:
                self._watch_in_c(owner, last, value, name)

    def _watch_function(self, function: types.FunctionType, name: str) -> None:
        opens = function.__name__.startswith("connect")

        def hook(*args: Any, **kwargs: Any) -> Any:
            self.tell_client(name, opens)
            return before(*args, **kwargs)

        async def coroutine(*args: Any, **kwargs: Any) -> Any:
            self.tell_client(name, opens)
            return await before(*args, **kwargs)

        before: Callable[..., Any] = swap_code(
            function, coroutine if inspect.iscoroutinefunction(function) else hook
        )

    def _watch_in_c(self, owner: Any, last: str, value: Any, name: str) -> None:
        """A function or a class of C. The class becomes a subclass: `isinstance` goes on to
        work.
        """
        if isinstance(value, type):
            replace_everywhere(owner, last, self._make_subclass(value, name))
        else:
            replace_everywhere(owner, last, self._make_telling(value, name, opens=True))

    def _make_telling(self, function: Any, name: str, opens: bool = False) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            self.tell_client(name, opens)
            return function(*args, **kwargs)

        return call

    def _make_subclass(self, base: Any, name: str) -> type:
        members = {key: self._make_telling(value, name) for key, value in _list_methods(base)}
        return type(
            base.__name__,
            (base,),
            members | {"__module__": base.__module__, "__doc__": base.__doc__},
        )


def _list_methods(base: type) -> Iterator[tuple[str, Any]]:
    """Its own public methods, and how it is made."""
    for key, value in vars(base).items():
        public = not key.startswith("_") and callable(value)
        if key == "__init__" or (
            public and not isinstance(value, (type, staticmethod, classmethod))
        ):
            yield key, value
