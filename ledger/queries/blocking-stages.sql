-- Which gate stops most runs, and for how long: from the first time that a stage is blocked or failed to its passing.
-- A stage that stops again later counts as another stop; `waiting_since` is the oldest stop that has not ended.
-- param: skill '' "only this skill id"
WITH visited AS (
    SELECT stage, count(*) AS runs
    FROM (SELECT DISTINCT event.run_id, event.stage
          FROM event
          JOIN run ON run.run_id = event.run_id
          WHERE event.type = 'stage.finished' AND coalesce(:skill, '') IN ('', run.skill))
    GROUP BY stage
),
stopped AS (
    SELECT
        event.run_id,
        event.stage,
        max(CASE WHEN event.outcome = 'blocked' THEN 1 ELSE 0 END) AS blocked,
        max(CASE WHEN event.outcome = 'failed' THEN 1 ELSE 0 END) AS failed
    FROM event
    JOIN run ON run.run_id = event.run_id
    WHERE event.type = 'stage.finished'
        AND event.outcome IN ('blocked', 'failed')
        AND coalesce(:skill, '') IN ('', run.skill)
    GROUP BY event.run_id, event.stage
),
looked AS (  -- a stage that was only put off stands where it stood
    SELECT
        event.run_id,
        event.stage,
        event.n,
        event.ts_us,
        CASE WHEN event.outcome IN ('blocked', 'failed') THEN 1 ELSE 0 END AS stops
    FROM stopped
    JOIN event ON event.run_id = stopped.run_id AND event.stage = stopped.stage
    WHERE event.type = 'stage.finished' AND event.outcome <> 'pending'
),
compared AS (
    SELECT *, lag(stops, 1, 0) OVER (PARTITION BY run_id, stage ORDER BY n) AS stopped_before
    FROM looked
),
turned AS (
    SELECT run_id, stage, ts_us, stops, lead(ts_us) OVER (PARTITION BY run_id, stage ORDER BY n) - ts_us AS took_us
    FROM compared
    WHERE stops <> stopped_before
),
stop AS (
    SELECT
        stage,
        ts_us,
        took_us,
        row_number() OVER (PARTITION BY stage, took_us IS NULL ORDER BY took_us) AS place,
        count(took_us) OVER (PARTITION BY stage) AS ended
    FROM turned
    WHERE stops = 1
),
lasted AS (
    SELECT
        stage,
        count(*) AS stops,
        count(CASE WHEN took_us IS NULL THEN 1 END) AS still_there,
        avg(CASE WHEN place IN ((ended + 1) / 2, (ended + 2) / 2) THEN took_us END) AS median_us,
        max(took_us) AS longest_us,
        min(CASE WHEN took_us IS NULL THEN ts_us END) AS since_us
    FROM stop
    GROUP BY stage
),
runs AS (
    SELECT stage, sum(blocked) AS blocked_runs, sum(failed) AS failed_runs, count(*) AS stopped_runs
    FROM stopped
    GROUP BY stage
)
SELECT
    visited.stage,
    visited.runs,
    coalesce(runs.blocked_runs, 0) AS blocked_runs,
    coalesce(runs.failed_runs, 0) AS failed_runs,
    coalesce(lasted.still_there, 0) AS still_there,
    coalesce(lasted.stops, 0) AS stops,
    round(lasted.median_us / 1000000.0, 1) AS median_s,
    round(lasted.longest_us / 1000000.0, 1) AS longest_s,
    datetime(lasted.since_us / 1000000, 'unixepoch') || 'Z' AS waiting_since
FROM visited
LEFT JOIN runs ON runs.stage = visited.stage
LEFT JOIN lasted ON lasted.stage = visited.stage
ORDER BY coalesce(runs.stopped_runs, 0) DESC, visited.stage;
