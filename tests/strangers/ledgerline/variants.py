VARIANTS = [
    {
        "id": "row-lock",
        "kind": "correct",
        "job": "produce-statement",
        "what": "The row of the request stays locked from before the upload until the commit of fee and status: a second delivery waits for it, "
        "and then finds that it is done. A worker that dies loses its connection, and with it the lock.",
        "edits": [
            (
                "statements/store.py",
                '''async def finish(request: StatementRequest, sha256: str) -> bool:
    """Done, and the fee booked, in one commit. False: somebody else had finished it."""
    values = {**request.model_dump(), "object_key": request.object_key, "sha256": sha256, "now": db.now()}
    async with db.transaction() as connection:
        ours = await connection.execute(
            "UPDATE statements SET status = 'done', object_key = %(object_key)s, sha256 = %(sha256)s,"
            f" touched_at = %(now)s, last_error = NULL WHERE {ROW} AND status <> 'done'",
            values,
        )
        if not ours.rowcount:
            return False
        await ledger.book_fee(connection, request)
        await connection.execute("DELETE FROM dead_letters WHERE job = %s AND key = %s", (JOB, request.key))
    return True
''',
                '''@asynccontextmanager
async def hold(request: StatementRequest) -> AsyncIterator[psycopg.AsyncConnection | None]:
    """The request's row is ours until the end of the block, which commits. None: it has come to its end."""
    async with db.transaction() as connection:
        await connection.execute("SET LOCAL lock_timeout = '60s'")  # an upload takes 35 seconds at most
        cursor = await connection.execute(f"SELECT status FROM statements WHERE {ROW} FOR UPDATE", request.model_dump())
        row = await cursor.fetchone()
        yield connection if row == ("pending",) else None


async def finish(connection: psycopg.AsyncConnection, request: StatementRequest, sha256: str) -> None:
    """Done, and the fee booked, in the transaction that holds the row."""
    await connection.execute(
        "UPDATE statements SET status = 'done', object_key = %(object_key)s, sha256 = %(sha256)s,"
        f" touched_at = %(now)s, last_error = NULL WHERE {ROW}",
        {**request.model_dump(), "object_key": request.object_key, "sha256": sha256, "now": db.now()},
    )
    await ledger.book_fee(connection, request)
''',
            ),
            (
                "statements/store.py",
                "import json\nfrom dataclasses import dataclass\n",
                "import json\nfrom collections.abc import AsyncIterator\nfrom contextlib import asynccontextmanager\n"
                "from dataclasses import dataclass\n",
            ),
            (
                "statements/tasks.py",
                '''    try:
        await storage.put_report(request.object_key, body)
    except Exception as error:
''',
                '''    try:
        async with store.hold(request) as connection:
            if connection is None:
                log.info("statement.skipped", result="skipped", reason="another delivery was faster")
                return "skipped"
            await storage.put_report(request.object_key, body)
            await store.finish(connection, request, hashlib.sha256(body).hexdigest())
    except psycopg.Error:
        raise
    except Exception as error:
''',
            ),
            (
                "statements/tasks.py",
                '''    if await store.finish(request, hashlib.sha256(body).hexdigest()):
        log.info("statement.done", result="done", object_key=request.object_key)
    else:
        log.info("statement.skipped", result="skipped", reason="another delivery was faster")
    return "done"
''',
                '''    log.info("statement.done", result="done", object_key=request.object_key)
    return "done"
''',
            ),
            (
                "README.md",
                "* The fee and `status = 'done'` are committed together, and only by the one who changes the status.\n",
                "* Who makes the statement holds its row locked meanwhile; the fee and `status = 'done'` are committed together.\n",
            ),
            (
                ".skillrun/jobs/produce-statement.yaml",
                "  dedupe: {store: table statements}\n",
                '  dedupe: {store: "table statements, its row locked during the upload"}\n',
            ),
            (
                "tests/conftest.py",
                '''    async def finish(self, request, sha256):
        if self.status[request.key] == "done":
            return False
        self.status[request.key] = "done"
        self.fees.append(request.key)
        return True
''',
                '''    @asynccontextmanager
    async def hold(self, request):
        yield self if self.status[request.key] == "pending" else None

    async def finish(self, connection, request, sha256):
        self.status[request.key] = "done"
        self.fees.append(request.key)
''',
            ),
            (
                "tests/conftest.py",
                "import os\nfrom types import SimpleNamespace\n",
                "import os\nfrom contextlib import asynccontextmanager\nfrom types import SimpleNamespace\n",
            ),
            (
                "tests/conftest.py",
                '("begin", "entries", "finish", "failed", "give_up", "reject")',
                '("begin", "entries", "hold", "finish", "failed", "give_up", "reject")',
            ),
            (
                "tests/test_with_postgresql.py",
                '''async def test_two_at_once(rows):
    request = StatementRequest(account_id=7, period="2026-04")
    assert sorted(await asyncio.gather(*(store.finish(request, "x") for _ in range(4)))) == [False, False, False, True]
''',
                '''async def test_two_at_once(rows):
    request = StatementRequest(account_id=7, period="2026-04")

    async def once():
        async with store.hold(request) as connection:
            if connection:
                await asyncio.sleep(0.1)
                await store.finish(connection, request, "x")
            return connection is not None

    assert sorted(await asyncio.gather(*(once() for _ in range(4)))) == [False, False, False, True]
''',
            ),
        ],
    },
    {
        "id": "object-per-attempt",
        "kind": "mistake",
        "job": "produce-statement",
        "what": "Each attempt writes an object of its own, so that none overwrites what an upload before it may have left half written. When "
        "the worker dies between the upload and the commit, or the store's answer is lost, the next attempt leaves a second statement of the "
        "same month in the bucket: the upload does not converge any more.",
        "edits": [
            (
                "statements/model.py",
                '''    @property
    def object_key(self) -> str:
        return f"{self.key}.csv"
''',
                '''    def object_key(self, attempt: int) -> str:
        """A name of its own for each attempt: never write over what another one may have left there."""
        return f"{self.key}/{attempt}.csv"
''',
            ),
            (
                "statements/store.py",
                '''async def finish(request: StatementRequest, sha256: str) -> bool:
''',
                '''async def finish(request: StatementRequest, object_key: str, sha256: str) -> bool:
''',
            ),
            (
                "statements/store.py",
                '"object_key": request.object_key, "sha256": sha256,',
                '"object_key": object_key, "sha256": sha256,',
            ),
            (
                "statements/tasks.py",
                '''    try:
        await storage.put_report(request.object_key, body)
''',
                '''    object_key = request.object_key(attempt.number)
    try:
        await storage.put_report(object_key, body)
''',
            ),
            (
                "statements/tasks.py",
                '''    if await store.finish(request, hashlib.sha256(body).hexdigest()):
        log.info("statement.done", result="done", object_key=request.object_key)
''',
                '''    if await store.finish(request, object_key, hashlib.sha256(body).hexdigest()):
        log.info("statement.done", result="done", object_key=object_key)
''',
            ),
            (
                "README.md",
                "* A closed month does not change, so each attempt makes the same bytes and puts them under the same key,\n"
                "  `<period>/<account>.csv`. Doing that twice changes nothing.\n",
                "* A closed month does not change, so each attempt makes the same bytes. It puts them under a key of its own,\n"
                "  `<period>/<account>/<attempt>.csv`; `statements.object_key` says which one counts.\n",
            ),
            ("tests/conftest.py", "    async def finish(self, request, sha256):\n", "    async def finish(self, request, object_key, sha256):\n"),
            ("tests/test_produce.py", '== ["2026-04/7.csv"]', '== ["2026-04/7/1.csv"]'),
            (
                "tests/test_produce.py",
                "    assert len(bucket.puts) == 3 and len(set(bucket.puts)) == 1\n",
                "    assert len(bucket.puts) == 3 and len({body for _, body in bucket.puts}) == 1\n",
            ),
            ("tests/test_with_postgresql.py", '== ["2026-04/7.csv"]', '== ["2026-04/7/1.csv"]'),
            ("tests/test_with_postgresql.py", 'store.finish(request, "x")', 'store.finish(request, "k", "x")'),
        ],
    },
    {
        "id": "finish-unconditionally",
        "kind": "mistake",
        "job": "produce-statement",
        "what": "finish() relies on begin() having seen a pending request, and neither asks for the status again nor looks whether it changed a "
        "row. When the same request is at work twice at once (a worker that only seemed dead, two jobs), both find it pending, and both book "
        "the fee.",
        "edits": [
            (
                "statements/store.py",
                '''async def finish(request: StatementRequest, sha256: str) -> bool:
    """Done, and the fee booked, in one commit. False: somebody else had finished it."""
''',
                '''async def finish(request: StatementRequest, sha256: str) -> None:
    """Done, and the fee booked, in one commit. That there is something left to do, begin() has seen."""
''',
            ),
            (
                "statements/store.py",
                '''        ours = await connection.execute(
            "UPDATE statements SET status = 'done', object_key = %(object_key)s, sha256 = %(sha256)s,"
            f" touched_at = %(now)s, last_error = NULL WHERE {ROW} AND status <> 'done'",
            values,
        )
        if not ours.rowcount:
            return False
        await ledger.book_fee(connection, request)
        await connection.execute("DELETE FROM dead_letters WHERE job = %s AND key = %s", (JOB, request.key))
    return True
''',
                '''        await connection.execute(
            "UPDATE statements SET status = 'done', object_key = %(object_key)s, sha256 = %(sha256)s,"
            f" touched_at = %(now)s, last_error = NULL WHERE {ROW}",
            values,
        )
        await ledger.book_fee(connection, request)
        await connection.execute("DELETE FROM dead_letters WHERE job = %s AND key = %s", (JOB, request.key))
''',
            ),
            (
                "statements/tasks.py",
                '''    if await store.finish(request, hashlib.sha256(body).hexdigest()):
        log.info("statement.done", result="done", object_key=request.object_key)
    else:
        log.info("statement.skipped", result="skipped", reason="another delivery was faster")
    return "done"
''',
                '''    await store.finish(request, hashlib.sha256(body).hexdigest())
    log.info("statement.done", result="done", object_key=request.object_key)
    return "done"
''',
            ),
            (
                "README.md",
                "* The fee and `status = 'done'` are committed together, and only by the one who changes the status.\n",
                "* The fee and `status = 'done'` are committed together, and a request that is done is not touched again.\n",
            ),
            (
                "tests/conftest.py",
                '''        if self.status[request.key] == "done":
            return False
        self.status[request.key] = "done"
        self.fees.append(request.key)
        return True
''',
                '''        self.status[request.key] = "done"
        self.fees.append(request.key)
''',
            ),
            (
                "tests/test_with_postgresql.py",
                '''async def test_two_at_once(rows):
    request = StatementRequest(account_id=7, period="2026-04")
    assert sorted(await asyncio.gather(*(store.finish(request, "x") for _ in range(4)))) == [False, False, False, True]
    assert await rows(FEES) == [("2026-04/7",)]
''',
                '''async def test_done_is_done(rows):
    request = StatementRequest(account_id=7, period="2026-04")
    await store.finish(request, "x")
    assert (await store.begin(request)).status == "done"
    assert await rows(FEES) == [("2026-04/7",)]
''',
            ),
            ("tests/test_with_postgresql.py", "import asyncio\n\nimport psycopg\n", "import psycopg\n"),
        ],
    },
    {
        "id": "client-error-is-final",
        "kind": "mistake",
        "job": "produce-statement",
        "what": "Every ClientError of botocore counts as the store's last word, since its name says that the client is at fault. But botocore "
        "raises it for 500 and 503, too: at the first SlowDown the statement goes into the dead letters after one attempt instead of five.",
        "edits": [
            (
                "statements/storage.py",
                '''# What it answers where asking again is no use. Everything else (SlowDown, 500, clocks, expired tokens) may pass.
FINAL = {"NoSuchBucket", "InvalidBucketName", "EntityTooLarge", "KeyTooLongError", "AccountProblem"}


''',
                "",
            ),
            (
                "statements/storage.py",
                '''    return isinstance(error, ClientError) and error.response.get("Error", {}).get("Code") in FINAL
''',
                '''    """It understood us, and said no. What may pass (timeouts, connections) are BotoCoreErrors."""
    return isinstance(error, ClientError)
''',
            ),
            ("statements/storage.py", "from statements.settings import settings\n\n", "from statements.settings import settings\n\n\n"),
            (
                "tests/test_produce.py",
                'from conftest import s3_error\n',
                'from botocore.exceptions import EndpointConnectionError, ReadTimeoutError\nfrom conftest import s3_error\n',
            ),
            (
                "tests/test_produce.py",
                'MESSAGE = {"account_id": 7, "period": "2026-04"}\n',
                'MESSAGE = {"account_id": 7, "period": "2026-04"}\nAWAY = EndpointConnectionError(endpoint_url="http://s3")\n'
                'SLOW = ReadTimeoutError(endpoint_url="http://s3")\n',
            ),
            (
                "tests/test_produce.py",
                'bucket.errors = [s3_error("SlowDown"), s3_error("InternalError")]',
                "bucket.errors = [AWAY, SLOW]",
            ),
            ("tests/test_produce.py", 'bucket.errors = [s3_error("SlowDown")] * 9', "bucket.errors = [AWAY] * 9"),
        ],
    },
]
