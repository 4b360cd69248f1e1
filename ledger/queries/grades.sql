-- How strong the evidence of the successes is: for each skill the runs that stand at success, by their weakest grade.
-- param: skill '' "only this skill id"
SELECT
    telemetry.skill,
    count(*) AS successes,
    count(CASE WHEN telemetry.grade_min = 'proved' THEN 1 END) AS proved,
    count(CASE WHEN telemetry.grade_min = 'executed' THEN 1 END) AS executed,
    count(CASE WHEN telemetry.grade_min = 'static' THEN 1 END) AS static,
    count(CASE WHEN telemetry.grade_min = 'declared' THEN 1 END) AS declared,
    count(CASE WHEN telemetry.grade_min IS NULL THEN 1 END) AS ungraded
FROM (SELECT run_id, max(invocation) AS invocation FROM telemetry GROUP BY run_id) AS latest
JOIN telemetry ON telemetry.run_id = latest.run_id AND telemetry.invocation = latest.invocation
WHERE telemetry.outcome = 'success' AND coalesce(:skill, '') IN ('', telemetry.skill)
GROUP BY telemetry.skill
ORDER BY count(*) DESC, telemetry.skill;
