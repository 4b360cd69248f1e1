create table if not exists pickups (
    id                integer primary key,
    day               date    not null,
    announced_parcels integer not null default 0
);

create table if not exists shipments (
    shipment_no      text primary key,
    pickup_id        integer not null references pickups,
    recipient        text    not null,
    address          text    not null,
    parcels          integer not null check (parcels > 0),
    weight_g         integer not null check (weight_g > 0),
    status           text    not null default 'packed'
                     check (status in ('packed', 'released', 'announced', 'stuck')),
    client_reference uuid unique,
    tracking_no      text,
    starts           integer not null default 0,
    first_start_at   timestamptz,
    touched_at       timestamptz
);

create index if not exists shipments_released on shipments (touched_at) where status = 'released';

create table if not exists dead_letters (
    task    text  not null,
    key     text  not null,
    message jsonb not null,
    reason  text  not null,
    died_at timestamptz not null,
    primary key (task, key)
);
