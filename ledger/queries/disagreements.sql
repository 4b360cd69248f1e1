-- Readings of the code that a proof has shown to be wrong: each is a fault of skillrun, and nothing of the job.
-- param: job '' "only this job"
SELECT
    event.run_id,
    run.job,
    event.stage,
    json_extract(item.value, '$.rule') AS rule,
    json_extract(item.value, '$.read') AS read,
    json_extract(item.value, '$.path') || coalesce(':' || json_extract(item.value, '$.line'), '') AS place,
    json_extract(item.value, '$.proof') AS proof,
    json_extract(item.value, '$.schedules') AS schedules,
    datetime(event.ts_us / 1000000, 'unixepoch') || 'Z' AS found
FROM event
JOIN run ON run.run_id = event.run_id
JOIN json_each(event.data, '$.result.facts.disagreements') AS item
WHERE event.type = 'stage.finished'
    AND coalesce(:job, '') IN ('', run.job)
ORDER BY event.seq DESC, item.key;
