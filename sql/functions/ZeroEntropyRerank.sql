CREATE FUNCTION IF NOT EXISTS ZeroEntropyRerank AS (query, documents, top_k) ->
    Rerank(query, documents, top_k, 'ZeroEntropy', '', '', '');
