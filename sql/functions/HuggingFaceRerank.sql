CREATE FUNCTION IF NOT EXISTS HuggingFaceRerank AS (query, documents, top_k) ->
    Rerank(query, documents, top_k, 'HuggingFace', '', '', '');
