-- Results that changed although nothing that they rest on did: a stage that both passed and failed with one fingerprint.
-- A stage that only waited, for a consent say, has not failed. Skill, job and repository are those of the last run.
-- param: skill '' "only this skill id"
WITH mixed AS (
    SELECT
        stage,
        fingerprint,
        count(CASE WHEN outcome = 'passed' THEN 1 END) AS passed,
        count(CASE WHEN outcome = 'failed' THEN 1 END) AS failed,
        min(run_id) AS first_run,
        max(run_id) AS last_run,
        max(ts_us) AS last_us
    FROM event
    WHERE type = 'stage.finished' AND outcome IN ('passed', 'failed') AND fingerprint IS NOT NULL
    GROUP BY stage, fingerprint
    HAVING min(outcome) <> max(outcome)
)
SELECT
    run.skill,
    run.job,
    run.repo,
    mixed.stage,
    mixed.passed,
    mixed.failed,
    mixed.first_run,
    mixed.last_run,
    CASE WHEN first.host_id = run.host_id THEN 0 ELSE 1 END AS other_host,
    datetime(mixed.last_us / 1000000, 'unixepoch') || 'Z' AS last_seen,
    mixed.fingerprint
FROM mixed
JOIN run ON run.run_id = mixed.last_run
JOIN run AS first ON first.run_id = mixed.first_run
WHERE coalesce(:skill, '') IN ('', run.skill)
ORDER BY mixed.last_us DESC, mixed.stage, mixed.fingerprint;
