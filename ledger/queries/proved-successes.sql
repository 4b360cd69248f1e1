-- Which successes were really proved: the run's last verdict, within which bounds, the risks that nobody has accepted,
-- and on whose word it rests. A run without a verdict rests on reading, tests and words alone.
-- param: job '' "only this job"
WITH success AS (
    SELECT telemetry.*
    FROM telemetry
    WHERE telemetry.outcome = 'success'
        AND NOT EXISTS (SELECT 1 FROM telemetry AS later
                        WHERE later.run_id = telemetry.run_id AND later.invocation > telemetry.invocation)
),
last_proof AS (
    SELECT proof.*
    FROM proof
    WHERE NOT EXISTS (SELECT 1 FROM proof AS later WHERE later.run_id = proof.run_id AND later.n > proof.n)
)
SELECT
    success.run_id,
    run.job,
    success.repo,
    coalesce(last_proof.verdict, 'not proved') AS verdict,
    last_proof.schedules,
    last_proof.bounds,
    coalesce(last_proof.risks, 0) AS risks,
    (SELECT group_concat(consent.kind || ' by ' || consent.actor_kind, ', ')
     FROM consent WHERE consent.run_id = success.run_id) AS on_whose_word,
    success.actor,
    success.actor_kind,
    success.ts_utc
FROM success
JOIN run ON run.run_id = success.run_id
LEFT JOIN last_proof ON last_proof.run_id = success.run_id
WHERE coalesce(:job, '') IN ('', run.job)
ORDER BY success.ts_utc DESC, success.run_id DESC;
