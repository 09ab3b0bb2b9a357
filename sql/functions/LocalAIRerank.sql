CREATE FUNCTION IF NOT EXISTS LocalAIRerank AS (query, documents, top_k) ->
    Rerank(query, documents, top_k, 'LocalAI', '', '', '');
