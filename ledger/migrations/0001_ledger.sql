-- Version 1: runs, events, evidence, telemetry, and the places of anchors and sinks.
-- A migration is never edited once it is released; README.md beside this folder explains every table and column.

CREATE TABLE run (
    run_id TEXT NOT NULL PRIMARY KEY,
    skill TEXT NOT NULL,
    skill_name TEXT NOT NULL,
    skill_sha TEXT NOT NULL,
    job TEXT,
    spec_path TEXT,
    repo TEXT NOT NULL,
    base_commit TEXT,
    dirty INTEGER NOT NULL CHECK (dirty IN (0, 1)),
    base_tree TEXT CHECK (base_tree IS NULL OR json_valid(base_tree)),
    actor TEXT NOT NULL,
    actor_kind TEXT NOT NULL CHECK (actor_kind IN ('human', 'agent', 'ci', 'unknown')),
    agent TEXT,
    host_id TEXT NOT NULL,
    runner_version TEXT NOT NULL,
    started_us INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX run_by_job ON run (skill, job, repo, started_us);

CREATE TABLE event (
    seq INTEGER PRIMARY KEY CHECK (seq > 0),
    run_id TEXT NOT NULL REFERENCES run (run_id),
    n INTEGER NOT NULL CHECK (n > 0),
    type TEXT NOT NULL,
    invocation INTEGER,
    stage TEXT,
    attempt INTEGER,
    ts_us INTEGER NOT NULL,
    dur_us INTEGER,
    outcome TEXT,
    actor TEXT,
    actor_kind TEXT CHECK (actor_kind IN ('human', 'agent', 'ci', 'unknown')),
    fingerprint TEXT,
    output_sha TEXT,
    exit_code INTEGER,
    error_type TEXT,
    data TEXT NOT NULL CHECK (json_valid(data)),
    prev TEXT NOT NULL,
    hash TEXT NOT NULL,
    UNIQUE (run_id, n)
) STRICT;

-- Partial, so that one append writes one of them: a full third index would slow every append and speed up no query.
CREATE INDEX event_by_stage ON event (run_id, stage, n) WHERE type = 'stage.finished';
CREATE INDEX event_by_type ON event (type, run_id, n) WHERE type <> 'stage.finished';

CREATE TABLE evidence (
    run_id TEXT NOT NULL,
    n INTEGER NOT NULL,
    i INTEGER NOT NULL CHECK (i > 0),
    role TEXT NOT NULL,
    path TEXT NOT NULL,
    sha TEXT NOT NULL,
    size INTEGER NOT NULL CHECK (size >= 0),
    line INTEGER,
    detail TEXT CHECK (detail IS NULL OR json_valid(detail)),
    PRIMARY KEY (run_id, n, i),
    FOREIGN KEY (run_id, n) REFERENCES event (run_id, n)
) STRICT, WITHOUT ROWID;

CREATE TABLE telemetry (
    run_id TEXT NOT NULL REFERENCES run (run_id),
    invocation INTEGER NOT NULL CHECK (invocation > 0),
    ts_utc TEXT NOT NULL,
    skill TEXT NOT NULL,
    trigger TEXT CHECK (trigger IN ('event', 'cron', 'poller')),
    idempotency TEXT CHECK (idempotency IN ('keyed', 'invariant', 'unknown')),
    retries TEXT CHECK (retries IN ('none', 'bounded')),
    tests_added TEXT CHECK (tests_added IN ('unit', 'integration', 'none')),
    files_touched TEXT CHECK (files_touched IS NULL OR json_type(files_touched) = 'array'),
    outcome TEXT NOT NULL CHECK (outcome IN ('success', 'partial', 'blocked')),
    duration_ms INTEGER CHECK (duration_ms >= 0),
    actor TEXT NOT NULL,
    actor_kind TEXT NOT NULL CHECK (actor_kind IN ('human', 'agent', 'ci', 'unknown')),
    agent TEXT,
    repo TEXT NOT NULL,
    git_head TEXT,
    checks_attempted TEXT NOT NULL CHECK (json_type(checks_attempted) = 'array'),
    checks_passed TEXT NOT NULL CHECK (json_type(checks_passed) = 'array'),
    checks_failed TEXT NOT NULL CHECK (json_type(checks_failed) = 'array'),
    grade_min TEXT CHECK (grade_min IN ('proved', 'executed', 'static', 'declared')),
    fields TEXT NOT NULL CHECK (json_type(fields) = 'object'),
    PRIMARY KEY (run_id, invocation)
) STRICT, WITHOUT ROWID;

CREATE TABLE anchor (
    run_id TEXT NOT NULL,
    n INTEGER NOT NULL,
    kind TEXT NOT NULL,
    place TEXT NOT NULL,
    hash TEXT NOT NULL,
    ts_us INTEGER NOT NULL,
    PRIMARY KEY (run_id, n, kind, place)
) STRICT, WITHOUT ROWID;

CREATE TABLE sink_cursor (
    sink TEXT NOT NULL PRIMARY KEY,
    last_seq INTEGER NOT NULL CHECK (last_seq >= 0),
    updated_us INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Append-only. The BEFORE INSERT triggers are there because INSERT OR REPLACE deletes the old row without firing a DELETE
-- trigger, unless recursive_triggers is on. Tables without a rowid cannot be replaced through one.
CREATE TRIGGER run_no_update BEFORE UPDATE ON run
BEGIN SELECT RAISE(ABORT, 'run is append-only'); END;
CREATE TRIGGER run_no_delete BEFORE DELETE ON run
BEGIN SELECT RAISE(ABORT, 'run is append-only'); END;
CREATE TRIGGER run_no_replace BEFORE INSERT ON run
WHEN EXISTS (SELECT 1 FROM run WHERE run_id = NEW.run_id)
BEGIN SELECT RAISE(ABORT, 'run is append-only'); END;

CREATE TRIGGER event_no_update BEFORE UPDATE ON event
BEGIN SELECT RAISE(ABORT, 'event is append-only'); END;
CREATE TRIGGER event_no_delete BEFORE DELETE ON event
BEGIN SELECT RAISE(ABORT, 'event is append-only'); END;
CREATE TRIGGER event_no_replace BEFORE INSERT ON event
WHEN EXISTS (SELECT 1 FROM event WHERE seq = NEW.seq)
    OR EXISTS (SELECT 1 FROM event WHERE run_id = NEW.run_id AND n = NEW.n)
BEGIN SELECT RAISE(ABORT, 'event is append-only'); END;
CREATE TRIGGER event_in_order BEFORE INSERT ON event
WHEN NEW.n > 1 AND NOT EXISTS (SELECT 1 FROM event WHERE run_id = NEW.run_id AND n = NEW.n - 1 AND hash = NEW.prev)
BEGIN SELECT RAISE(ABORT, 'event does not follow the last one of its run'); END;

CREATE TRIGGER evidence_no_update BEFORE UPDATE ON evidence
BEGIN SELECT RAISE(ABORT, 'evidence is append-only'); END;
CREATE TRIGGER evidence_no_delete BEFORE DELETE ON evidence
BEGIN SELECT RAISE(ABORT, 'evidence is append-only'); END;
CREATE TRIGGER evidence_no_replace BEFORE INSERT ON evidence
WHEN EXISTS (SELECT 1 FROM evidence WHERE run_id = NEW.run_id AND n = NEW.n AND i = NEW.i)
BEGIN SELECT RAISE(ABORT, 'evidence is append-only'); END;

CREATE TRIGGER telemetry_no_update BEFORE UPDATE ON telemetry
BEGIN SELECT RAISE(ABORT, 'telemetry is append-only'); END;
CREATE TRIGGER telemetry_no_delete BEFORE DELETE ON telemetry
BEGIN SELECT RAISE(ABORT, 'telemetry is append-only'); END;
CREATE TRIGGER telemetry_no_replace BEFORE INSERT ON telemetry
WHEN EXISTS (SELECT 1 FROM telemetry WHERE run_id = NEW.run_id AND invocation = NEW.invocation)
BEGIN SELECT RAISE(ABORT, 'telemetry is append-only'); END;

CREATE TRIGGER anchor_no_update BEFORE UPDATE ON anchor
BEGIN SELECT RAISE(ABORT, 'anchor is append-only'); END;
CREATE TRIGGER anchor_no_delete BEFORE DELETE ON anchor
BEGIN SELECT RAISE(ABORT, 'anchor is append-only'); END;
CREATE TRIGGER anchor_no_replace BEFORE INSERT ON anchor
WHEN EXISTS (SELECT 1 FROM anchor WHERE run_id = NEW.run_id AND n = NEW.n AND kind = NEW.kind AND place = NEW.place)
BEGIN SELECT RAISE(ABORT, 'anchor is append-only'); END;

-- Where each run stands. `type <> 'stage.finished'` lets SQLite use the partial index.
CREATE VIEW run_status AS
SELECT
    run.run_id,
    run.skill,
    run.job,
    run.repo,
    run.started_us,
    (SELECT outcome FROM telemetry WHERE run_id = run.run_id ORDER BY invocation DESC LIMIT 1) AS outcome,
    (SELECT count(*) FROM event
     WHERE run_id = run.run_id AND type = 'invocation.started' AND type <> 'stage.finished') AS invocations,
    (SELECT count(*) FROM event AS started
     WHERE started.run_id = run.run_id AND started.type = 'invocation.started' AND started.type <> 'stage.finished'
       AND NOT EXISTS (SELECT 1 FROM telemetry
                       WHERE telemetry.run_id = started.run_id AND telemetry.invocation = started.invocation)
    ) AS open_invocations,
    (SELECT n FROM event WHERE run_id = run.run_id ORDER BY n DESC LIMIT 1) AS last_n,
    (SELECT ts_us FROM event WHERE run_id = run.run_id ORDER BY n DESC LIMIT 1) AS last_us
FROM run;
