-- How long from the first stage that was blocked or failed to the run's first success, by skill, agent and framework.
-- `agent` is that of the invocation that succeeded, else of the run.
-- param: skill '' "only this skill id"
WITH stop AS (
    SELECT event.run_id, min(event.n) AS n
    FROM event
    JOIN run ON run.run_id = event.run_id
    WHERE event.type = 'stage.finished'
        AND event.outcome IN ('blocked', 'failed')
        AND coalesce(:skill, '') IN ('', run.skill)
    GROUP BY event.run_id
),
success AS (
    SELECT stop.run_id, stop.n AS stop_n, min(event.n) AS n
    FROM stop
    LEFT JOIN event ON event.run_id = stop.run_id AND event.n > stop.n
        AND event.type = 'invocation.ended' AND event.type <> 'stage.finished' AND event.outcome = 'success'
    GROUP BY stop.run_id, stop.n
),
took AS (
    SELECT
        run.skill,
        coalesce(telemetry.agent, run.agent, '') AS agent,
        coalesce((SELECT json_extract(data, '$.result.facts.framework')
                  FROM event AS named
                  WHERE named.run_id = run.run_id AND named.type = 'stage.finished' AND named.stage = 'identify'
                  ORDER BY named.n DESC LIMIT 1), '') AS framework,
        ended.ts_us - began.ts_us AS took_us
    FROM success
    JOIN run ON run.run_id = success.run_id
    JOIN event AS began ON began.run_id = success.run_id AND began.n = success.stop_n
    LEFT JOIN event AS ended ON ended.run_id = success.run_id AND ended.n = success.n
    LEFT JOIN telemetry ON telemetry.run_id = ended.run_id AND telemetry.invocation = ended.invocation
),
ranked AS (
    SELECT
        *,
        row_number() OVER (PARTITION BY skill, agent, framework, took_us IS NULL ORDER BY took_us) AS place,
        count(took_us) OVER (PARTITION BY skill, agent, framework) AS many
    FROM took
)
SELECT
    skill,
    nullif(agent, '') AS agent,
    nullif(framework, '') AS framework,
    count(*) AS stopped_runs,
    count(took_us) AS succeeded,
    count(*) - count(took_us) AS not_yet,
    round(avg(CASE WHEN place IN ((many + 1) / 2, (many + 2) / 2) THEN took_us END) / 1000000.0, 1) AS median_s,
    round(max(took_us) / 1000000.0, 1) AS longest_s
FROM ranked
GROUP BY skill, agent, framework
ORDER BY count(*) DESC, skill, agent, framework;
