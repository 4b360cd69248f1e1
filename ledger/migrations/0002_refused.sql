-- Version 2: runs that a receiver refused, so that all others go on, and these are tried again.

CREATE TABLE sink_refusal (
    sink TEXT NOT NULL,
    run_id TEXT NOT NULL,
    n INTEGER NOT NULL CHECK (n > 0),
    reason TEXT NOT NULL,
    ts_us INTEGER NOT NULL,
    PRIMARY KEY (sink, run_id)
) STRICT, WITHOUT ROWID;
