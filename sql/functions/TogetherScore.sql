CREATE FUNCTION IF NOT EXISTS TogetherScore AS (query, document) ->
    RerankScore(query, document, 'Together', '', '', '');
