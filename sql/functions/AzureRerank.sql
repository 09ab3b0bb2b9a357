CREATE FUNCTION IF NOT EXISTS AzureRerank AS (query, documents, top_k) ->
    Rerank(query, documents, top_k, 'Azure', '', '', '');
