-- One run from its first event to its last; without a parameter the newest run.
-- param: run '' "the run's id, or its beginning"
SELECT
    event.run_id,
    event.n,
    datetime(event.ts_us / 1000000, 'unixepoch') || 'Z' AS time,
    event.type,
    event.invocation,
    event.stage,
    event.outcome,
    round(event.dur_us / 1000.0, 1) AS ms,
    event.actor,
    event.actor_kind,
    event.error_type,
    event.hash
FROM event
WHERE event.run_id >= coalesce(nullif(:run, ''), (SELECT max(run_id) FROM run))
    AND event.run_id < coalesce(nullif(:run, ''), (SELECT max(run_id) FROM run)) || 'g'
ORDER BY event.run_id, event.n;
