"""python -m sensorhub.schema [--demo]"""

import sqlite3
import sys

from sensorhub.config import Config

DDL = """
create table if not exists alarms (
    id        text primary key,
    sensor    text not null,
    severity  text not null check (severity in ('warning', 'critical')),
    summary   text not null,
    state     text not null default 'raised'
              check (state in ('raised', 'dispatched', 'delivered', 'undelivered'))
);
create index if not exists alarms_by_state on alarms (state);

-- what the pager said; one per alarm
create table if not exists receipts (
    alarm_id  text primary key references alarms (id),
    receipt   text not null
);

-- how often a push was begun, dead workers included
create table if not exists push_attempts (
    alarm_id  text primary key,
    count     integer not null
);

create table if not exists undelivered (
    id         integer primary key,
    job        text not null,
    ref        text not null,
    message    text not null,
    reason     text not null,
    noted_at   text not null default current_timestamp,
    unique (job, ref)
);
"""

DEMO = """
insert or ignore into alarms (id, sensor, severity, summary, state) values
    ('al-0001', 'silo-3/temperature', 'critical', '71 degrees in silo 3', 'dispatched'),
    ('al-0002', 'pump-1/pressure', 'warning', 'pump 1 below 2 bar', 'raised'),
    ('al-0003', 'gate/door', 'critical', 'gate open since 22:10', 'raised');
"""


def create(path: str, demo: bool = False) -> None:
    db = sqlite3.connect(path)
    db.executescript(DDL)
    if demo:
        db.executescript(DEMO)
    db.commit()
    db.close()


if __name__ == "__main__":
    create(Config.from_env().db, demo="--demo" in sys.argv[1:])
