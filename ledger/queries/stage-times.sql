-- How long each stage takes, in milliseconds, over all times that it was examined.
-- param: skill '' "only this skill id"
SELECT
    event.stage,
    count(*) AS examined,
    round(avg(event.dur_us) / 1000.0, 1) AS mean_ms,
    round(min(event.dur_us) / 1000.0, 1) AS fastest_ms,
    round(max(event.dur_us) / 1000.0, 1) AS slowest_ms,
    round(sum(event.dur_us) / 1000.0, 1) AS total_ms
FROM event
JOIN run ON run.run_id = event.run_id
WHERE event.type = 'stage.finished' AND event.dur_us IS NOT NULL AND coalesce(:skill, '') IN ('', run.skill)
GROUP BY event.stage
ORDER BY sum(event.dur_us) DESC, event.stage;
