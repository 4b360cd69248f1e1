-- What `skillrun ledger ship` makes in a PostgreSQL database: the ledger's tables, for the runs of many machines.
-- Applied as a whole under an advisory lock; every statement may run again. Text is kept as it was hashed.

CREATE SCHEMA IF NOT EXISTS skillrun;
SET LOCAL search_path = skillrun;

CREATE TABLE IF NOT EXISTS run (
    run_id text PRIMARY KEY,
    skill text NOT NULL,
    skill_name text NOT NULL,
    skill_sha text NOT NULL,
    job text,
    spec_path text,
    repo text NOT NULL,
    base_commit text,
    dirty bigint NOT NULL,
    base_tree text,
    actor text NOT NULL,
    actor_kind text NOT NULL,
    agent text,
    host_id text NOT NULL,
    runner_version text NOT NULL,
    started_us bigint NOT NULL
);
CREATE INDEX IF NOT EXISTS run_by_job ON run (skill, job, repo, started_us);

CREATE TABLE IF NOT EXISTS event (
    seq bigint GENERATED ALWAYS AS IDENTITY,
    run_id text NOT NULL REFERENCES run (run_id),
    n bigint NOT NULL CHECK (n > 0),
    type text NOT NULL,
    invocation bigint,
    stage text,
    attempt bigint,
    ts_us bigint NOT NULL,
    dur_us bigint,
    outcome text,
    actor text,
    actor_kind text,
    fingerprint text,
    output_sha text,
    exit_code bigint,
    error_type text,
    data text NOT NULL,
    prev text NOT NULL,
    hash text NOT NULL,
    PRIMARY KEY (run_id, n)
);
CREATE INDEX IF NOT EXISTS event_by_stage ON event (run_id, stage, n) WHERE type = 'stage.finished';
CREATE INDEX IF NOT EXISTS event_by_type ON event (type, run_id, n) WHERE type <> 'stage.finished';
CREATE INDEX IF NOT EXISTS event_failed ON event (fingerprint, ts_us)
    WHERE type = 'stage.finished' AND outcome = 'failed';

CREATE TABLE IF NOT EXISTS evidence (
    run_id text NOT NULL,
    n bigint NOT NULL,
    i bigint NOT NULL,
    role text NOT NULL,
    path text NOT NULL,
    sha text NOT NULL,
    size bigint NOT NULL,
    line bigint,
    detail text,
    PRIMARY KEY (run_id, n, i),
    FOREIGN KEY (run_id, n) REFERENCES event (run_id, n)
);

CREATE TABLE IF NOT EXISTS telemetry (
    run_id text NOT NULL REFERENCES run (run_id),
    invocation bigint NOT NULL,
    ts_utc text NOT NULL,
    skill text NOT NULL,
    trigger text,
    idempotency text,
    retries text,
    tests_added text,
    files_touched text,
    outcome text NOT NULL,
    duration_ms bigint,
    actor text NOT NULL,
    actor_kind text NOT NULL,
    agent text,
    repo text NOT NULL,
    git_head text,
    checks_attempted text NOT NULL,
    checks_passed text NOT NULL,
    checks_failed text NOT NULL,
    grade_min text,
    fields text NOT NULL,
    PRIMARY KEY (run_id, invocation)
);

CREATE TABLE IF NOT EXISTS anchor (
    run_id text NOT NULL,
    n bigint NOT NULL,
    kind text NOT NULL,
    place text NOT NULL,
    hash text NOT NULL,
    ts_us bigint NOT NULL,
    PRIMARY KEY (run_id, n, kind, place)
);

-- Append-only, and each event after the one that it was hashed onto. A redaction alone updates: it takes long texts out,
-- which a hash covers by their digests, so that `skillrun ledger verify` would find any other change.
CREATE OR REPLACE FUNCTION append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND TG_TABLE_NAME IN ('event', 'evidence')
        AND current_setting('skillrun.redacting', true) = 'on' THEN
        RETURN NULL;
    END IF;
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME;
END $$;

CREATE OR REPLACE FUNCTION event_in_order() RETURNS trigger LANGUAGE plpgsql SET search_path = skillrun AS $$
BEGIN
    IF NEW.n > 1 AND NOT EXISTS (SELECT 1 FROM event WHERE run_id = NEW.run_id AND n = NEW.n - 1 AND hash = NEW.prev) THEN
        RAISE EXCEPTION 'event % of run % does not follow the one that is here', NEW.n, NEW.run_id;
    END IF;
    IF EXISTS (SELECT 1 FROM event WHERE run_id = NEW.run_id AND n = NEW.n AND hash <> NEW.hash) THEN
        RAISE EXCEPTION 'another event % of run % is here already', NEW.n, NEW.run_id;
    END IF;
    RETURN NEW;
END $$;

CREATE OR REPLACE TRIGGER event_in_order BEFORE INSERT ON event FOR EACH ROW EXECUTE FUNCTION event_in_order();
CREATE OR REPLACE TRIGGER run_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON run EXECUTE FUNCTION append_only();
CREATE OR REPLACE TRIGGER event_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON event EXECUTE FUNCTION append_only();
CREATE OR REPLACE TRIGGER evidence_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON evidence EXECUTE FUNCTION append_only();
CREATE OR REPLACE TRIGGER telemetry_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON telemetry EXECUTE FUNCTION append_only();
CREATE OR REPLACE TRIGGER anchor_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON anchor EXECUTE FUNCTION append_only();

CREATE OR REPLACE VIEW run_status AS
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
