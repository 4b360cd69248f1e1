-- What was waived or attested, by whom, and why: everything that rests on somebody's word.
-- param: job '' "only this job"
SELECT
    event.run_id,
    run.job,
    event.type,
    coalesce(json_extract(event.data, '$.item'), json_extract(event.data, '$.step'), event.stage) AS item,
    coalesce(json_extract(event.data, '$.reason'), json_extract(event.data, '$.statement')) AS reason,
    coalesce(json_extract(event.data, '$.by'), event.actor) AS by_whom,
    event.actor_kind,
    datetime(event.ts_us / 1000000, 'unixepoch') || 'Z' AS given
FROM event
JOIN run ON run.run_id = event.run_id
WHERE event.type IN ('waiver.given', 'attestation.given')
    AND event.type <> 'stage.finished'
    AND coalesce(:job, '') IN ('', run.job)
ORDER BY event.seq DESC;
