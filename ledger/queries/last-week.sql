-- What ran in the last days and how it ended: each run that an invocation began or went on with, newest first.
-- param: days 7 "so many days back"
-- param: skill '' "only this skill id"
WITH lately AS (
    SELECT run_id, max(ts_us) AS last_us, count(invocation) AS invocations, max(invocation) AS latest
    FROM event
    WHERE type IN ('run.started', 'invocation.started')
        AND type <> 'stage.finished'
        AND ts_us >= (strftime('%s', 'now') - CAST(coalesce(:days, 7) AS REAL) * 86400) * 1000000
    GROUP BY run_id
)
SELECT
    run.run_id,
    run.skill,
    run.job,
    run.repo,
    coalesce(telemetry.actor, run.actor) AS actor,
    coalesce(telemetry.agent, run.agent) AS agent,
    datetime(lately.last_us / 1000000, 'unixepoch') || 'Z' AS last_began,
    lately.invocations,
    CASE
        WHEN telemetry.run_id IS NULL THEN 'not ended'
        WHEN EXISTS (SELECT 1 FROM event AS died
                     WHERE died.type = 'invocation.interrupted' AND died.type <> 'stage.finished'
                       AND died.run_id = run.run_id AND died.invocation = lately.latest) THEN 'died'
        ELSE telemetry.outcome
    END AS outcome,
    telemetry.grade_min
FROM lately
JOIN run ON run.run_id = lately.run_id
LEFT JOIN telemetry ON telemetry.run_id = lately.run_id AND telemetry.invocation = lately.latest
WHERE coalesce(:skill, '') IN ('', run.skill)
ORDER BY lately.last_us DESC, run.run_id DESC;
