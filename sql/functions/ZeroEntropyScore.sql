CREATE FUNCTION IF NOT EXISTS ZeroEntropyScore AS (query, document) ->
    RerankScore(query, document, 'ZeroEntropy', '', '', '');
