-- Version 4: views of what the events say of proofs, findings, and whose word a run rests on.
-- Only what a text holds is taken out of it: no row is made, and none is changed.

CREATE VIEW proof AS
SELECT
    event.run_id,
    event.n,
    event.invocation,
    event.stage,
    run.repo,
    run.job,
    json_extract(event.data, '$.proof.handler') AS handler,
    json_extract(event.data, '$.proof.library') AS library,
    json_extract(event.data, '$.proof.verdict') AS verdict,
    json_extract(event.data, '$.proof.bounds') AS bounds,
    json_extract(event.data, '$.proof.schedules.total') AS schedules,
    coalesce(json_array_length(event.data, '$.proof.risks'), 0) AS risks,
    event.actor,
    event.actor_kind,
    event.ts_us
FROM event
JOIN run ON run.run_id = event.run_id
WHERE event.type = 'stage.finished' AND json_extract(event.data, '$.proof.verdict') IS NOT NULL;

CREATE VIEW finding AS
SELECT
    event.run_id,
    event.n,
    event.invocation,
    event.stage,
    run.repo,
    run.job,
    event.outcome,
    json_extract(item.value, '$.rule') AS rule,
    json_extract(item.value, '$.severity') AS severity,
    json_extract(item.value, '$.message') AS message,
    json_extract(item.value, '$.path') AS path,
    json_extract(item.value, '$.line') AS line,
    json_extract(item.value, '$.hint') AS hint,
    event.ts_us
FROM event
JOIN run ON run.run_id = event.run_id
JOIN json_each(event.data, '$.result.findings') AS item
WHERE event.type = 'stage.finished';

CREATE VIEW consent AS
SELECT
    event.run_id,
    event.n,
    event.invocation,
    run.repo,
    run.job,
    replace(event.type, '.given', '') AS kind,
    coalesce(json_extract(event.data, '$.item'), json_extract(event.data, '$.step'),
             json_extract(event.data, '$.commands')) AS item,
    coalesce(json_extract(event.data, '$.reason'), json_extract(event.data, '$.statement'),
             json_extract(event.data, '$.how')) AS said,
    coalesce(json_extract(event.data, '$.by'), event.actor) AS by_whom,
    event.actor_kind,
    event.ts_us
FROM event
JOIN run ON run.run_id = event.run_id
WHERE event.type IN ('consent.given', 'waiver.given', 'attestation.given') AND event.type <> 'stage.finished';

CREATE VIEW spec_text AS
SELECT
    event.run_id,
    event.n,
    event.invocation,
    run.repo,
    run.job,
    run.spec_path AS path,
    json_extract(event.data, '$.spec.sha256') AS sha,
    json_extract(event.data, '$.spec.text') AS text,
    event.ts_us
FROM event
JOIN run ON run.run_id = event.run_id
WHERE event.type = 'invocation.started' AND event.type <> 'stage.finished'
    AND json_extract(event.data, '$.spec.text') IS NOT NULL;
