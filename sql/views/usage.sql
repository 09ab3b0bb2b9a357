-- Cost, errors, latency and cache hits of Rerank's calls, from the file that [usage] path of the configuration names.

CREATE DATABASE IF NOT EXISTS rerank;

-- Edit only this path: on a server it is relative to user_files, with chDB it can be any path. A line that a worker is
-- still writing is skipped.
CREATE OR REPLACE VIEW rerank.usage AS
SELECT toDate(time) AS day, *
FROM file('rerank/usage*.jsonl', 'JSONEachRow', $$
    time DateTime64(3, 'UTC'), provider String, host String, model String, credential String, fallback UInt8,
    status String, error String, rows UInt64, degraded UInt64, documents UInt64, cached UInt64, requests UInt64,
    attempts UInt64, answered UInt64, rate_limited UInt64, hedged UInt64, refused UInt64,
    left_out UInt64, repaired UInt64,
    tokens Float64, search_units Float64, waited_ms Float64, latency_ms Float64$$)
SETTINGS input_format_allow_errors_num = 1000000, input_format_skip_unknown_fields = 1, optimize_count_from_files = 0;

-- Prices of providers, each from a given day, in the currency of your bill. Insert a row if a price changes or is missing.
-- For your own servers, a row of zeros says that a call costs nothing.
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

-- Public list prices in US dollars of November 2026, from a price list that is not the provider's own: check yours.
INSERT INTO rerank.prices
SELECT *
FROM values('provider String, model String, since Date, search_unit Float64, million_tokens Float64, request Float64',
    ('Cohere', 'rerank-v3.5', '2024-12-02', 0.002, 0, 0),
    ('Cohere', 'rerank-v4.0-pro', '2025-12-11', 0.0025, 0, 0),
    ('Cohere', 'rerank-v4.0-fast', '2025-12-11', 0.002, 0, 0),
    ('Cohere', 'rerank-v5.0-pro', '2026-11-03', 0, 0.05, 0),
    ('Cohere', 'rerank-v5.0-fast', '2026-11-03', 0, 0.02, 0),
    ('TypeSafe', 'jev-latest', '2026-09-15', 0, 0.042, 0),
    ('OpenAI', 'gpt-6-luna', '2026-10-06', 0, 0.1, 0),
    ('Gemini', 'gemini-decision-1', '2026-11-11', 0, 0.1, 0),
    ('Cloudflare', 'clef-flash', '2026-11-24', 0, 0.09, 0),
    ('Cloudflare', 'clef', '2026-11-24', 0, 0.24, 0))
WHERE (provider, model) NOT IN (SELECT provider, model FROM rerank.prices);

-- Examples of other kinds of prices, with invented numbers:
--     ('LiteLLM', 'my-reranker', '2000-01-01', 0.001, 0, 0)        per search unit
--     ('Bedrock', 'cohere.rerank-v3-5:0', '2000-01-01', 0, 0, 0.001)    per request
--     ('TEI', '', '2000-01-01', 0, 0, 0)        free

-- `unpriced`: answered calls without a price, or with a price for units that the provider does not report.
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

-- Failed calls, failed requests, requests refused with 429, and what happened to the rows. A request that others.hedge_ms
-- sent twice fails at most once.
CREATE OR REPLACE VIEW rerank.errors_per_day AS
SELECT
    day,
    provider,
    model,
    countIf(u.documents > 0) AS calls,
    countIf(u.documents > 0 AND u.status = 'error') AS errors,
    if(calls = 0, 0, errors / calls) AS error_rate,
    countIf(u.documents > 0 AND u.status = 'cancelled') AS cancelled,
    sum(u.attempts) AS attempts,
    sum(greatest(0, toInt64(u.attempts) - u.hedged - u.answered)) AS failed,
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

-- Only calls that were answered by requests. In milliseconds. `hedged`: requests sent a second time, by others.hedge_ms.
CREATE OR REPLACE VIEW rerank.latency_per_day AS
SELECT
    day,
    provider,
    model,
    count() AS calls,
    quantile(0.5)(u.latency_ms) AS p50_ms,
    quantile(0.95)(u.latency_ms) AS p95_ms,
    max(u.latency_ms) AS longest_ms,
    quantile(0.95)(u.waited_ms) AS p95_waited_ms,
    sum(u.hedged) AS hedged
FROM rerank.usage AS u
WHERE status = 'ok' AND documents > cached
GROUP BY day, provider, model
ORDER BY day, provider, model;

-- Documents to score, and how many of their scores were in the cache.
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
