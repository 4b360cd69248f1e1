-- Results that changed although nothing that they rest on did: a stage that both passed and failed with one fingerprint.
-- A stage that only waited, for a consent say, has not failed.
-- param: skill '' "only this skill id"
WITH failed AS (
    SELECT DISTINCT fingerprint FROM event WHERE type = 'stage.finished' AND outcome = 'failed' AND fingerprint IS NOT NULL
),
looked AS (
    SELECT run.skill, run.job, run.repo, run.host_id, event.stage, event.fingerprint, event.run_id, event.outcome, event.ts_us
    FROM event
    JOIN run ON run.run_id = event.run_id
    WHERE event.type = 'stage.finished'
        AND event.outcome IN ('passed', 'failed')
        AND event.fingerprint IN (SELECT fingerprint FROM failed)
        AND coalesce(:skill, '') IN ('', run.skill)
)
SELECT
    skill,
    job,
    repo,
    stage,
    count(CASE WHEN outcome = 'passed' THEN 1 END) AS passed,
    count(CASE WHEN outcome = 'failed' THEN 1 END) AS failed,
    count(DISTINCT run_id) AS runs,
    count(DISTINCT host_id) AS hosts,
    datetime(max(ts_us) / 1000000, 'unixepoch') || 'Z' AS last_seen,
    fingerprint
FROM looked
GROUP BY skill, job, repo, stage, fingerprint
HAVING count(DISTINCT outcome) = 2
ORDER BY max(ts_us) DESC, stage, fingerprint;
