-- Successes that are stale now: a file that the run rests on has other content since, or is gone.
-- skillrun gives the files of the repository as they are; without them the latest content that any run saw counts.
-- `tree_changed`: a command that may read any file was run, and some file of the repository is another.
-- param: repo '' "only this repository; inside of one skillrun names it"
-- param: job '' "only this job"
-- param: standing '' "1: only where no newer run of the same job has taken its place"
-- param: tree '' "JSON {path: sha256} of the files as they are, and under * their digest; inside of a repository skillrun gives it"
WITH success AS MATERIALIZED (
    SELECT telemetry.run_id, telemetry.skill, run.job, run.repo, telemetry.ts_utc
    FROM telemetry
    JOIN run ON run.run_id = telemetry.run_id
    WHERE telemetry.outcome = 'success'
        AND NOT EXISTS (SELECT 1 FROM telemetry AS later
                        WHERE later.run_id = telemetry.run_id AND later.invocation > telemetry.invocation)
        AND coalesce(:repo, '') IN ('', run.repo)
        AND coalesce(:job, '') IN ('', run.job)
        AND (coalesce(:standing, '') IN ('', '0')
             OR NOT EXISTS (SELECT 1 FROM run AS newer
                            WHERE newer.skill = run.skill AND newer.job = run.job AND newer.repo = run.repo
                              AND newer.started_us > run.started_us))
),
latest AS (
    SELECT event.run_id, success.repo, max(event.n) AS n
    FROM success
    JOIN event ON event.run_id = success.run_id
    WHERE event.type = 'stage.finished'
    GROUP BY event.run_id, event.stage
),
sighting AS (  -- what is cited as evidence, and what was only looked at
    SELECT latest.run_id, latest.repo, latest.n, evidence.path, evidence.sha
    FROM latest
    JOIN evidence ON evidence.run_id = latest.run_id AND evidence.n = latest.n
    WHERE evidence.role = 'file'
    UNION ALL
    SELECT latest.run_id, latest.repo, latest.n, file.key, file.value
    FROM latest
    JOIN event ON event.run_id = latest.run_id AND event.n = latest.n
    JOIN json_each(event.data, '$.lookups') AS lookup
    JOIN json_each(CASE json_extract(lookup.value, '$.kind')
                       WHEN 'file' THEN json_extract(lookup.value, '$.files')
                       WHEN 'content' THEN json_object('*', json_extract(lookup.value, '$.digest'))
                       ELSE '{}'
                   END) AS file
),
seen AS (  -- as the run knew them at its end: SQLite takes the sha from the row of the maximum
    SELECT run_id, repo, path, sha, max(n) AS n
    FROM sighting
    GROUP BY run_id, path
),
newest AS (
    SELECT run.repo, evidence.path, evidence.sha, max(event.ts_us) AS ts_us
    FROM evidence
    JOIN event ON event.run_id = evidence.run_id AND event.n = evidence.n
    JOIN run ON run.run_id = evidence.run_id
    WHERE evidence.role = 'file'
        AND coalesce(:tree, '') = ''
        AND coalesce(:repo, '') IN ('', run.repo)
    GROUP BY run.repo, evidence.path
),
tree AS (
    SELECT key AS path, value AS sha FROM json_each(CASE WHEN coalesce(:tree, '') = '' THEN '{}' ELSE :tree END)
),
changed AS (
    SELECT seen.run_id, seen.path, tree.sha
    FROM seen
    LEFT JOIN tree ON tree.path = seen.path
    WHERE coalesce(:tree, '') <> '' AND coalesce(tree.sha, '') <> seen.sha
    UNION ALL
    SELECT seen.run_id, seen.path, newest.sha
    FROM seen
    LEFT JOIN newest ON newest.repo = seen.repo AND newest.path = seen.path
    WHERE coalesce(newest.sha, seen.sha) <> seen.sha  -- LEFT and coalesce: so SQLite looks up the small one of the two
)
SELECT
    success.run_id,
    success.skill,
    success.job,
    success.repo,
    success.ts_utc,
    count(CASE WHEN changed.path <> '*' THEN 1 END) AS changed_files,
    count(CASE WHEN changed.path <> '*' AND changed.sha IS NULL THEN 1 END) AS gone_files,
    max(changed.path = '*') AS tree_changed,
    min(CASE WHEN changed.path <> '*' THEN changed.path END) AS first_file
FROM changed
JOIN success ON success.run_id = changed.run_id
GROUP BY success.run_id, success.skill, success.job, success.repo, success.ts_utc
ORDER BY success.ts_utc DESC, success.run_id DESC;
