CREATE FUNCTION IF NOT EXISTS CrossEncoderScore AS (query, document) ->
    RerankScore(query, document, 'CrossEncoder', '', '', '');
