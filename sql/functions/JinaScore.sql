CREATE FUNCTION IF NOT EXISTS JinaScore AS (query, document) ->
    RerankScore(query, document, 'Jina', '', '', '');
