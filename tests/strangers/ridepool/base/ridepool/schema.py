"""python -m ridepool.schema [--demo]"""

import sqlite3
import sys

from ridepool import settings

TABLES = """
create table if not exists drivers (
    id             integer primary key,
    name           text not null,
    account        text not null,
    balance_cents  integer not null default 0
);
create table if not exists payouts (
    id            integer primary key,
    driver_id     integer not null references drivers (id),
    cents         integer not null check (cents > 0),
    status        text not null default 'draft' check (status in ('draft', 'approved', 'paid', 'failed')),
    account       text,
    paywire_ref   text,
    starts        integer not null default 0,
    first_try_at  real,
    published_at  real,
    changed_at    real
);
create table if not exists statement_lines (
    payout_id  integer primary key references payouts (id),
    driver_id  integer not null references drivers (id),
    cents      integer not null,
    text       text not null
);
create table if not exists dead_letters (
    ref      text primary key,
    task     text not null,
    task_id  text not null,
    message  text not null,
    error    text not null,
    at       real not null
);
"""

DEMO = """
insert or ignore into drivers values (1, 'Noor Baumann', 'acct_7f01', 20000), (2, 'Ilir Krasniqi', 'acct_9c44', 9000);
insert or ignore into payouts (id, driver_id, cents) values (1, 1, 12000), (2, 1, 3000), (3, 2, 9000);
"""


def create(demo: bool = False) -> None:
    con = sqlite3.connect(settings.DB)
    con.executescript(TABLES + (DEMO if demo else ""))
    con.close()


if __name__ == "__main__":
    create("--demo" in sys.argv[1:])
