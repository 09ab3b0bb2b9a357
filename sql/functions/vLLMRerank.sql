CREATE FUNCTION IF NOT EXISTS vLLMRerank AS (query, documents, top_k) ->
    Rerank(query, documents, top_k, 'vLLM', '', '', '');
