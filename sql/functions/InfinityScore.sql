CREATE FUNCTION IF NOT EXISTS InfinityScore AS (query, document) ->
    RerankScore(query, document, 'Infinity', '', '', '');
