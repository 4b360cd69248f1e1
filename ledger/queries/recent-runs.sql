-- The newest runs: what ran where, on whose word, and where it stands.
-- param: skill '' "only this skill id"
-- param: job '' "only this job"
SELECT
    run.run_id,
    run.skill,
    run.job,
    run.repo,
    run.actor,
    run.actor_kind,
    run.agent,
    datetime(run.started_us / 1000000, 'unixepoch') || 'Z' AS started,
    coalesce(run_status.outcome, 'none yet') AS outcome,
    run_status.invocations,
    run_status.open_invocations
FROM run
JOIN run_status ON run_status.run_id = run.run_id
WHERE coalesce(:skill, '') IN ('', run.skill) AND coalesce(:job, '') IN ('', run.job)
ORDER BY run.started_us DESC, run.run_id DESC;
