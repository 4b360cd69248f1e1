-- What had to be done again: stages that several invocations of a run examined, and attempts of an agent to implement.
-- `unchanged` counts the looks at the very same inputs.
-- param: job '' "only this job"
WITH again AS (
    SELECT
        run_id,
        stage AS what,
        count(*) AS times,
        count(DISTINCT fingerprint) AS inputs,
        count(fingerprint) - count(DISTINCT fingerprint) AS unchanged,
        min(n) AS first_n,
        max(n) AS last_n
    FROM event
    WHERE type = 'stage.finished'
    GROUP BY run_id, stage
    HAVING count(*) > 1 AND count(DISTINCT coalesce(invocation, -n)) > 1
    UNION ALL
    SELECT run_id, type, count(*), NULL, NULL, min(n), max(n)
    FROM event
    WHERE type = 'implement.attempt' AND type <> 'stage.finished'
    GROUP BY run_id, type
    HAVING count(*) > 1
)
SELECT
    again.run_id,
    run.skill,
    run.job,
    again.what,
    again.times,
    again.inputs,
    again.unchanged,
    coalesce(first.outcome, 'exit ' || first.exit_code) AS first_outcome,
    coalesce(last.outcome, 'exit ' || last.exit_code) AS last_outcome,
    datetime(last.ts_us / 1000000, 'unixepoch') || 'Z' AS last_time
FROM again
JOIN run ON run.run_id = again.run_id
JOIN event AS first ON first.run_id = again.run_id AND first.n = again.first_n
JOIN event AS last ON last.run_id = again.run_id AND last.n = again.last_n
WHERE coalesce(:job, '') IN ('', run.job)
ORDER BY again.times DESC, last.ts_us DESC, again.run_id, again.what;
