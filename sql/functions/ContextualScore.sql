CREATE FUNCTION IF NOT EXISTS ContextualScore AS (query, document) ->
    RerankScore(query, document, 'Contextual', '', '', '');
