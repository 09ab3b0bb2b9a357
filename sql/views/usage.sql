-- What Rerank's calls cost and how they went, from the lines that [usage] path of the configuration collects.

CREATE DATABASE IF NOT EXISTS rerank;

-- The path is the one place to edit: on a server within user_files, with chDB any path. A line that cannot be read
-- because it is being written is left out.
CREATE OR REPLACE VIEW rerank.usage AS
SELECT toDate(time) AS day, *
FROM file('rerank/usage*.jsonl', 'JSONEachRow', $$
    time DateTime64(3, 'UTC'), provider String, host String, model String, credential String, fallback UInt8,
    status String, error String, rows UInt64, degraded UInt64, documents UInt64, cached UInt64, requests UInt64,
    attempts UInt64, answered UInt64, rate_limited UInt64, tokens Float64, search_units Float64,
    waited_ms Float64, latency_ms Float64$$)
SETTINGS input_format_allow_errors_num = 1000000, input_format_skip_unknown_fields = 1, optimize_count_from_files = 0;

-- What providers charge, from a day on, in the currency of your bill; insert a row where a price changes or is missing.
-- Servers of your own cost nothing per call: a row of zeros says so.
CREATE TABLE IF NOT EXISTS rerank.prices
(
    provider String,
    model String,
    since Date,
    search_unit Float64,
    million_tokens Float64,
    request Float64
)
ENGINE = ReplacingMergeTree
ORDER BY (provider, model, since);

-- Public list prices in US dollars, read in November 2026 in a price list that is not the provider's own: check yours.
INSERT INTO rerank.prices
SELECT *
FROM values('provider String, model String, since Date, search_unit Float64, million_tokens Float64, request Float64',
    ('Cohere', 'rerank-v3.5', '2024-12-02', 0.002, 0, 0),
    ('Cohere', 'rerank-v4.0-pro', '2025-12-11', 0.0025, 0, 0),
    ('Cohere', 'rerank-v4.0-fast', '2025-12-11', 0.002, 0, 0),
    ('Cohere', 'rerank-v5.0-pro', '2026-11-03', 0, 0.05, 0),
    ('Cohere', 'rerank-v5.0-fast', '2026-11-03', 0, 0.02, 0))
WHERE (provider, model) NOT IN (SELECT provider, model FROM rerank.prices);

-- Examples of the other ways to charge, with made-up numbers:
--     ('LiteLLM', 'my-reranker', '2000-01-01', 0.001, 0, 0)        by the search unit
--     ('Bedrock', 'cohere.rerank-v3-5:0', '2000-01-01', 0, 0, 0.001)    by the request
--     ('TEI', '', '2000-01-01', 0, 0, 0)        nothing

-- `unpriced`: calls that were answered and have no price, or none by anything that the provider reports.
CREATE OR REPLACE VIEW rerank.cost_per_day AS
SELECT
    day,
    provider,
    model,
    countIf(u.documents > 0) AS calls,
    sum(u.rows) AS rows,
    sum(u.documents) AS documents,
    sum(u.requests) AS requests,
    sum(u.attempts) AS attempts,
    sum(u.search_units) AS search_units,
    sum(u.tokens) AS tokens,
    sum(u.charge) AS cost,
    countIf(u.answered > 0 AND (NOT u.is_priced OR (u.charge = 0 AND u.price > 0))) AS unpriced
FROM
(
    SELECT
        u.*,
        p.provider != '' AS is_priced,
        p.search_unit + p.million_tokens + p.request AS price,
        u.search_units * p.search_unit + u.tokens * p.million_tokens / 1e6 + u.answered * p.request AS charge
    FROM rerank.usage AS u
    ASOF LEFT JOIN rerank.prices AS p ON u.provider = p.provider AND u.model = p.model AND u.day >= p.since
) AS u
GROUP BY day, provider, model
ORDER BY day, provider, model;

-- Calls that failed, requests that failed, what was refused as too many, and what became of the rows.
CREATE OR REPLACE VIEW rerank.errors_per_day AS
SELECT
    day,
    provider,
    model,
    countIf(u.documents > 0) AS calls,
    countIf(u.documents > 0 AND u.status = 'error') AS errors,
    if(calls = 0, 0, errors / calls) AS error_rate,
    countIf(u.status = 'cancelled') AS cancelled,
    sum(u.attempts) AS attempts,
    sum(u.attempts) - sum(u.answered) AS failed,
    if(attempts = 0, 0, failed / attempts) AS failure_rate,
    sum(u.rate_limited) AS rate_limited,
    sumIf(u.rows, u.fallback > 0 AND u.status = 'ok') AS rows_by_fallback,
    sum(u.degraded) AS rows_degraded
FROM rerank.usage AS u
GROUP BY day, provider, model
ORDER BY day, provider, model;

CREATE OR REPLACE VIEW rerank.error_codes_per_day AS
SELECT day, provider, model, error, countIf(u.documents > 0) AS calls, sum(u.rows) AS rows
FROM rerank.usage AS u
WHERE error != ''
GROUP BY day, provider, model, error
ORDER BY day, provider, model, error;

-- Of calls that were answered by requests, in milliseconds.
CREATE OR REPLACE VIEW rerank.latency_per_day AS
SELECT
    day,
    provider,
    model,
    count() AS calls,
    quantile(0.5)(u.latency_ms) AS p50_ms,
    quantile(0.95)(u.latency_ms) AS p95_ms,
    max(u.latency_ms) AS longest_ms,
    quantile(0.95)(u.waited_ms) AS p95_waited_ms
FROM rerank.usage AS u
WHERE status = 'ok' AND documents > cached
GROUP BY day, provider, model
ORDER BY day, provider, model;

-- Of documents to score, those whose scores were known.
CREATE OR REPLACE VIEW rerank.cache_per_day AS
SELECT
    day,
    provider,
    model,
    sum(u.documents) AS documents,
    sum(u.cached) AS cached,
    if(documents = 0, 0, cached / documents) AS hit_rate
FROM rerank.usage AS u
GROUP BY day, provider, model
ORDER BY day, provider, model;
