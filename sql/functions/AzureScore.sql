CREATE FUNCTION IF NOT EXISTS AzureScore AS (query, document) ->
    RerankScore(query, document, 'Azure', '', '', '');
