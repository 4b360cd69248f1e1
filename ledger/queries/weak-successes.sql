-- Successes with a check that rests on code that was only read (static), or on somebody's word (declared), alone.
-- A run counts by its latest invocation; where no checks were kept, by its weakest grade.
WITH success AS (
    SELECT telemetry.*
    FROM telemetry
    WHERE telemetry.outcome = 'success'
        AND coalesce(telemetry.grade_min, 'declared') IN ('declared', 'static')
        AND NOT EXISTS (SELECT 1 FROM telemetry AS later
                        WHERE later.run_id = telemetry.run_id AND later.invocation > telemetry.invocation)
),
ended AS (  -- an invocation that found nothing changed points to the one that has the report
    SELECT event.run_id, max(coalesce(json_extract(event.data, '$.same_as'), event.n)) AS n
    FROM success
    JOIN event ON event.run_id = success.run_id AND event.invocation = success.invocation
    WHERE event.type = 'invocation.ended' AND event.type <> 'stage.finished'
    GROUP BY event.run_id
),
passed AS (
    SELECT
        ended.run_id,
        json_extract(item.value, '$.id') AS id,
        coalesce(json_extract(item.value, '$.grade'), 'declared') IN ('declared', 'static') AS weak
    FROM ended
    JOIN event ON event.run_id = ended.run_id AND event.n = ended.n
    JOIN json_each(event.data, '$.report.checks') AS item
    WHERE json_extract(item.value, '$.status') = 'passed'
),
counted AS (
    SELECT
        run_id,
        count(*) AS checks,
        sum(weak) AS weak,
        group_concat(CASE WHEN weak THEN id END, ', ') AS names
    FROM passed
    GROUP BY run_id
)
SELECT
    success.run_id,
    success.skill,
    run.job,
    success.repo,
    success.grade_min,
    success.actor,
    success.actor_kind,
    success.ts_utc,
    counted.checks,
    counted.weak AS weak_checks,
    counted.names AS which
FROM success
JOIN run ON run.run_id = success.run_id
LEFT JOIN counted ON counted.run_id = success.run_id
WHERE coalesce(counted.weak, 1) > 0
ORDER BY success.ts_utc DESC, success.run_id DESC;
