-- Skill version against outcome: for each text of a SKILL.md the runs that began with it, and where they stand.
-- param: skill '' "only this skill id"
WITH stands AS (
    SELECT
        run.skill,
        run.skill_sha,
        run.started_us,
        (SELECT outcome FROM telemetry WHERE run_id = run.run_id ORDER BY invocation DESC LIMIT 1) AS outcome,
        (SELECT outcome FROM telemetry WHERE run_id = run.run_id AND invocation = 1) AS at_first
    FROM run
    WHERE coalesce(:skill, '') IN ('', run.skill)
)
SELECT
    skill,
    substr(skill_sha, 1, 12) AS version,
    count(*) AS runs,
    count(CASE WHEN outcome = 'success' THEN 1 END) AS success,
    count(CASE WHEN outcome = 'partial' THEN 1 END) AS partial,
    count(CASE WHEN outcome = 'blocked' THEN 1 END) AS blocked,
    count(CASE WHEN outcome IS NULL THEN 1 END) AS not_ended,
    count(CASE WHEN at_first = 'success' THEN 1 END) AS at_first_try,
    round(100.0 * count(CASE WHEN outcome = 'success' THEN 1 END) / count(*), 1) AS success_percent,
    datetime(min(started_us) / 1000000, 'unixepoch') || 'Z' AS first_used,
    datetime(max(started_us) / 1000000, 'unixepoch') || 'Z' AS last_used
FROM stands
GROUP BY skill, skill_sha
ORDER BY max(started_us) DESC, skill, skill_sha;
