-- Which gate stops most runs: for each stage the runs that it blocked or failed at least once, and those that still stand there.
-- param: skill '' "only this skill id"
WITH finished AS (
    SELECT
        event.run_id,
        event.stage,
        event.outcome,
        row_number() OVER (PARTITION BY event.run_id, event.stage ORDER BY event.n DESC) AS age
    FROM event
    JOIN run ON run.run_id = event.run_id
    WHERE event.type = 'stage.finished' AND :skill IN ('', run.skill)
)
SELECT
    stage,
    count(DISTINCT run_id) AS runs,
    count(DISTINCT CASE WHEN outcome = 'blocked' THEN run_id END) AS blocked_runs,
    count(DISTINCT CASE WHEN outcome = 'failed' THEN run_id END) AS failed_runs,
    count(DISTINCT CASE WHEN outcome IN ('blocked', 'failed') AND age = 1 THEN run_id END) AS still_there
FROM finished
GROUP BY stage
ORDER BY blocked_runs + failed_runs DESC, stage;
