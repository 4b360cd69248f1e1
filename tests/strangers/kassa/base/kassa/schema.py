"""Creates the tables: `python -m kassa.schema`. With `--demo` also three authorised payments to play with."""

from __future__ import annotations

import sys

import psycopg

from kassa.settings import get_settings

DDL = """
CREATE TABLE IF NOT EXISTS payments (
    order_id bigint PRIMARY KEY,
    authorization_id text NOT NULL UNIQUE,
    amount_cents integer NOT NULL CHECK (amount_cents > 0),
    currency char(3) NOT NULL,
    state text NOT NULL DEFAULT 'authorised'
        CHECK (state IN ('authorised', 'capturing', 'retrying', 'captured', 'declined', 'dead')),
    capture_requested_at timestamptz,
    attempts integer NOT NULL DEFAULT 0,
    first_attempt_at timestamptz,
    next_attempt_at timestamptz,
    lease_token text,
    lease_until timestamptz,
    capture_id text,
    last_error text
);
CREATE INDEX IF NOT EXISTS payments_open ON payments (state) WHERE state IN ('authorised', 'capturing', 'retrying');
CREATE TABLE IF NOT EXISTS dead_letters (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job text NOT NULL,
    order_id bigint,
    payload text NOT NULL,
    attempt integer NOT NULL,
    reason text NOT NULL,
    buried_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (job, payload)
);
"""

DEMO = """
INSERT INTO payments (order_id, authorization_id, amount_cents, currency) VALUES
    (1001, 'auth_7f31', 4990, 'EUR'),
    (1002, 'auth_7f32', 12900, 'EUR'),
    (1003, 'auth_7f33', 1550, 'CHF')
ON CONFLICT DO NOTHING;
"""


def create(dsn: str, *, demo: bool = False) -> None:
    with psycopg.connect(dsn) as connection:
        connection.execute(DDL)
        if demo:
            connection.execute(DEMO)


if __name__ == "__main__":
    create(get_settings().database_dsn, demo="--demo" in sys.argv[1:])
