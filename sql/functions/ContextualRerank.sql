CREATE FUNCTION IF NOT EXISTS ContextualRerank AS (query, documents, top_k) ->
    Rerank(query, documents, top_k, 'Contextual', '', '', '');
