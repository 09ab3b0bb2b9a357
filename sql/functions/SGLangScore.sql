CREATE FUNCTION IF NOT EXISTS SGLangScore AS (query, document) ->
    RerankScore(query, document, 'SGLang', '', '', '');
