create table if not exists loans (
    id integer primary key,
    pledge text not null,
    iban text not null,
    amount_cents integer not null check (amount_cents > 0),
    status text not null default 'offered' check (status in ('offered', 'approved', 'paid', 'failed')),
    end_to_end_id text unique,
    approved_at timestamptz,
    queued_at timestamptz,
    starts integer not null default 0,
    bank_reference text
);

create table if not exists ledger (
    id bigint generated always as identity primary key,
    loan_id integer not null unique references loans,
    account text not null,
    amount_cents integer not null,
    bank_reference text not null,
    booked_at timestamptz not null
);

create table if not exists dead_letters (
    job text not null,
    key text not null,
    message jsonb not null,
    reason text not null,
    attempt integer not null,
    died_at timestamptz not null,
    primary key (job, key)
);
