CREATE FUNCTION IF NOT EXISTS LlamaCppScore AS (query, document) ->
    RerankScore(query, document, 'LlamaCpp', '', '', '');
