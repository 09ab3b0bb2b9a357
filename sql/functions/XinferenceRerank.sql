CREATE FUNCTION IF NOT EXISTS XinferenceRerank AS (query, documents, top_k) ->
    Rerank(query, documents, top_k, 'Xinference', '', '', '');
