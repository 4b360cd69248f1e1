-- The risks of each run's latest report: their grade, what would close them, and why somebody has accepted one.
-- param: job '' "only this job"
WITH reported AS (
    SELECT event.run_id, max(event.n) AS n
    FROM event
    WHERE event.type = 'invocation.ended'
        AND event.type <> 'stage.finished'
        AND json_type(event.data, '$.report') = 'object'
    GROUP BY event.run_id
)
SELECT
    event.run_id,
    run.job,
    run.repo,
    json_extract(risk.value, '$.rule') AS risk,
    json_extract(risk.value, '$.grade') AS grade,
    json_extract(risk.value, '$.message') AS message,
    json_extract(risk.value, '$.closes') AS closes,
    json_extract(risk.value, '$.accepted') AS accepted,
    event.outcome,
    datetime(event.ts_us / 1000000, 'unixepoch') || 'Z' AS told
FROM reported
JOIN event ON event.run_id = reported.run_id AND event.n = reported.n
JOIN run ON run.run_id = event.run_id
JOIN json_each(event.data, '$.report.risks') AS risk
WHERE coalesce(:job, '') IN ('', run.job)
ORDER BY event.seq DESC, risk.key;
