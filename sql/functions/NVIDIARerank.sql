CREATE FUNCTION IF NOT EXISTS NVIDIARerank AS (query, documents, top_k) ->
    Rerank(query, documents, top_k, 'NVIDIA', '', '', '');
