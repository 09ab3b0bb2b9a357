CREATE FUNCTION IF NOT EXISTS CloudflareScore AS (query, document) ->
    RerankScore(query, document, 'Cloudflare', '', '', '');
