"""`python -m statements.setup`: Procrastinate's tables, ours, and a few accounts to play with. May be run again."""

import asyncio

from statements import db
from statements.app import app

TABLES = """
CREATE TABLE IF NOT EXISTS entries (
    id bigint PRIMARY KEY,
    account_id bigint NOT NULL,
    period text NOT NULL,
    booked_on date NOT NULL,
    text text NOT NULL,
    amount numeric(12, 2) NOT NULL
);
CREATE TABLE IF NOT EXISTS statements (
    account_id bigint NOT NULL,
    period text NOT NULL,
    status text NOT NULL DEFAULT 'pending',
    attempts integer NOT NULL DEFAULT 0,
    requeues integer NOT NULL DEFAULT 0,
    touched_at timestamptz NOT NULL,
    object_key text,
    sha256 text,
    last_error text,
    PRIMARY KEY (account_id, period)
);
CREATE TABLE IF NOT EXISTS ledger (
    id bigserial PRIMARY KEY,
    account_id bigint NOT NULL,
    booked_at timestamptz NOT NULL,
    kind text NOT NULL,
    reference text NOT NULL,
    amount numeric(12, 2) NOT NULL
);
CREATE TABLE IF NOT EXISTS dead_letters (
    job text NOT NULL,
    key text NOT NULL,
    message text NOT NULL,
    attempts integer NOT NULL,
    reason text NOT NULL,
    died_at timestamptz NOT NULL,
    PRIMARY KEY (job, key)
);
"""

DEMO = """
INSERT INTO entries VALUES
    (1, 7, '2026-04', '2026-04-02', 'Salary', 5200.00), (2, 7, '2026-04', '2026-04-05', 'Rent', -1850.00),
    (3, 8, '2026-04', '2026-04-11', 'Invoice 88', 940.50), (4, 9, '2026-04', '2026-04-30', 'Interest', 0.42)
ON CONFLICT DO NOTHING;
"""


async def main() -> None:
    async with db.transaction() as connection:
        await connection.execute(TABLES)
        await connection.execute(DEMO)
        for account_id in (7, 8, 9):
            await connection.execute(
                "INSERT INTO statements (account_id, period, touched_at) VALUES (%s, '2026-04', %s) ON CONFLICT DO NOTHING",
                (account_id, db.now()),
            )
        cursor = await connection.execute("SELECT to_regclass('procrastinate_jobs')")
        (missing,) = await cursor.fetchone()
    if missing is None:
        async with app.open_async():
            await app.schema_manager.apply_schema_async()


if __name__ == "__main__":
    asyncio.run(main())
