"""Lays out the schema: `python -m labtrack.schema [--demo]`."""
import sys

import psycopg

from labtrack.config import settings

DDL = """
create table if not exists reports (
    report_no text not null, revision integer not null, clinic text not null,
    status text not null check (status in ('draft', 'authorised', 'withdrawn')),
    findings jsonb not null, version integer not null default 1,
    primary key (report_no, revision));
create table if not exists dispatches (
    report_no text not null, revision integer not null,
    status text not null default 'pending'
        check (status in ('pending', 'sending', 'sent', 'failed', 'cancelled')),
    attempts integer not null default 0, document_key text not null default '',
    receipt text not null default '', created_at timestamptz not null,
    updated_at timestamptz not null, version integer not null default 1,
    primary key (report_no, revision), foreign key (report_no, revision) references reports);
create table if not exists outbox (
    id bigint generated always as identity primary key, task text not null, message jsonb not null,
    created_at timestamptz not null, sent_at timestamptz);
create table if not exists dead_letters (
    id bigint generated always as identity primary key, subject text not null unique,
    message jsonb not null, reason text not null, created_at timestamptz not null);
create or replace function next_version() returns trigger language plpgsql as
    $$ begin new.version := old.version + 1; return new; end $$;
create or replace trigger reports_version before update on reports
    for each row execute function next_version();
create or replace trigger dispatches_version before update on dispatches
    for each row execute function next_version();
"""

DEMO = """
insert into reports (report_no, revision, clinic, status, findings) values
    ('R-2026-0001', 1, 'clinic-north', 'authorised', '{"hb": "14.1 g/dl"}'),
    ('R-2026-0001', 2, 'clinic-north', 'authorised', '{"hb": "14.1 g/dl", "crp": "3 mg/l"}'),
    ('R-2026-0002', 1, 'clinic-south', 'authorised', '{"tsh": "2.2 mU/l"}'),
    ('R-2026-0003', 1, 'clinic-south', 'draft', '{}')
on conflict do nothing;
"""


def apply(demo=False):
    from labtrack.queue import publisher

    with psycopg.connect(settings.dsn) as connection:
        connection.execute(DDL)
        if demo:
            connection.execute(DEMO)
    with psycopg.connect(settings.queue_dsn) as connection:
        there = connection.execute("select to_regclass('procrastinate_jobs')").fetchone()[0]
    if there is None:
        with publisher().open() as queue:
            queue.schema_manager.apply_schema()


if __name__ == "__main__":
    apply(demo="--demo" in sys.argv)
