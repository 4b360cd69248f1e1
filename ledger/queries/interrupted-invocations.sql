-- Invocations that died, and those that began and have no telemetry row: they run now, or died and were not resumed.
SELECT
    started.run_id,
    run.job,
    started.invocation,
    CASE WHEN telemetry.run_id IS NULL THEN 'open' ELSE 'interrupted' END AS state,
    coalesce(started.actor, run.actor) AS actor,
    datetime(started.ts_us / 1000000, 'unixepoch') || 'Z' AS began
FROM event AS started
JOIN run ON run.run_id = started.run_id
LEFT JOIN telemetry ON telemetry.run_id = started.run_id AND telemetry.invocation = started.invocation
WHERE started.type = 'invocation.started'
    AND started.type <> 'stage.finished'
    AND (telemetry.run_id IS NULL
         OR EXISTS (SELECT 1 FROM event AS ended
                    WHERE ended.type = 'invocation.interrupted' AND ended.type <> 'stage.finished'
                      AND ended.run_id = started.run_id AND ended.invocation = started.invocation))
ORDER BY started.seq DESC;
