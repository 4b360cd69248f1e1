create table if not exists shipments (
    id        integer primary key,
    carrier   text not null,
    released  integer not null default 0,
    exported  integer not null default 0      -- the newest revision the carrier knows
);

create table if not exists shipment_lines (
    shipment_id integer not null references shipments,
    revision    integer not null,
    line        integer not null,
    sku         text not null,
    pieces      integer not null,
    kilograms   numeric(10, 3) not null,
    primary key (shipment_id, revision, line)
);

create table if not exists exports (
    shipment_id integer not null,
    revision    integer not null,
    status      text not null default 'pending' check (status in ('pending', 'done', 'dead')),
    object_key  text,
    starts      integer not null default 0,
    primary key (shipment_id, revision)
);

create table if not exists outbox (
    id      bigint generated always as identity primary key,
    message jsonb not null,
    written timestamptz not null default now()
);

create table if not exists dead_letters (
    id      bigint generated always as identity primary key,
    job     text not null,
    message jsonb not null,
    reason  text not null,
    buried  timestamptz not null default now(),
    unique (job, message)
);
