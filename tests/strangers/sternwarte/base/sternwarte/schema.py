"""python -m sternwarte.schema [--seed]"""
import sys

import psycopg

from . import config

DDL = """
create table if not exists bookings (
    id           text primary key,
    observer     text not null,
    telescope    text not null,
    night        date not null,
    slot         integer not null check (slot between 1 and 24),
    status       text not null default 'requested'
                 check (status in ('planned', 'requested', 'confirmed', 'refused', 'failed')),
    reservation  text,
    attempts     integer not null default 0,
    rescues      integer not null default 0,
    touched_at   timestamptz not null
);
create table if not exists inbox (
    message_id   text not null,
    booking_id   text not null references bookings (id),
    handled_at   timestamptz not null,
    constraint inbox_message_id_key unique (message_id)
);
create table if not exists dead_letters (
    message_id   text primary key,
    booking_id   text,
    message      text not null,
    error        text not null,
    attempt      integer not null,
    died_at      timestamptz not null
);
"""

SEED = """
insert into bookings (id, observer, telescope, night, slot, status, touched_at) values
    ('B-101', 'obs-7', 'atacama-1m',  '2026-12-12', 3, 'planned', now()),
    ('B-102', 'obs-7', 'atacama-1m',  '2026-12-12', 4, 'planned', now()),
    ('B-103', 'obs-9', 'tenerife-40', '2026-12-14', 1, 'planned', now())
on conflict (id) do nothing
"""


def create(dsn=None, seed=False):
    with psycopg.connect(dsn or config.DSN) as conn:
        conn.execute(DDL)
        if seed:
            conn.execute(SEED)


if __name__ == "__main__":
    create(seed="--seed" in sys.argv[1:])
