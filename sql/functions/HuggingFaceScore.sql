CREATE FUNCTION IF NOT EXISTS HuggingFaceScore AS (query, document) ->
    RerankScore(query, document, 'HuggingFace', '', '', '');
