CREATE FUNCTION IF NOT EXISTS RerankScore AS (query, document, provider, base_url, api_key, others) ->
    arrayPushBack(Rerank(query, [ifNull(document, '')],
        if(length(query) + length(document) GLOBAL IN (0), 0, 1 + throwIf(lower(provider) = 'bm25', 'BM25 scores a document by its list. Call Rerank with an array of documents.')),
        provider, base_url, api_key, others).3, toFloat32(nan))[1];
