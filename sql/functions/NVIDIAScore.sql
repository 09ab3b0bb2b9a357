CREATE FUNCTION IF NOT EXISTS NVIDIAScore AS (query, document) ->
    RerankScore(query, document, 'NVIDIA', '', '', '');
