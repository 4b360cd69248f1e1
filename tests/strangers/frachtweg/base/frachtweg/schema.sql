create table if not exists routes (
    id integer primary key, name text not null, booked_parcels integer not null default 0);
create table if not exists consignments (
    id integer primary key, route_id integer not null references routes,
    consignee text not null, parcels integer not null, grams integer not null,
    status text not null default 'draft' check (status in ('draft', 'requested', 'booked', 'dead')),
    starts integer not null default 0, version integer not null default 1,
    tracking text, label_key text, moved_at timestamptz);
create table if not exists dead_letters (
    job text not null, key text not null, message jsonb not null, reason text not null,
    at timestamptz not null default now(), primary key (job, key));
