create table if not exists vehicles (
    plate   text primary key,
    holder  text not null,
    mandate text                       -- direct debit mandate; null: none signed
);

create table if not exists passages (
    ref          text primary key,     -- given by the gantry
    plate        text not null,
    gantry       text not null,
    passed_at    timestamptz not null,
    amount_cents integer not null check (amount_cents > 0)
);

create table if not exists charges (
    passage_ref text primary key references passages,
    status      text not null default 'open' check (status in ('open', 'charged', 'refused')),
    tries       integer not null default 0,
    booking     text,                  -- the bank's number
    settled_at  timestamptz
);
create index if not exists charges_open on charges (passage_ref) where status = 'open';

-- What the clerks read.
create table if not exists refusals (
    subject    text primary key,       -- the passage, or message:<digest> of an unreadable job
    code       text not null,
    detail     text not null,
    tries      integer not null,
    refused_at timestamptz not null default now()
);
