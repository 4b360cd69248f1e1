-- Runs whose latest invocation was a success although its weakest evidence was only read from the code, or only declared.
SELECT
    telemetry.run_id,
    telemetry.skill,
    run.job,
    telemetry.repo,
    telemetry.grade_min,
    telemetry.actor,
    telemetry.actor_kind,
    telemetry.ts_utc
FROM telemetry
JOIN run ON run.run_id = telemetry.run_id
WHERE telemetry.outcome = 'success'
    AND telemetry.invocation = (SELECT max(invocation) FROM telemetry AS later WHERE later.run_id = telemetry.run_id)
    AND coalesce(telemetry.grade_min, 'declared') IN ('declared', 'static')
ORDER BY telemetry.ts_utc DESC;
