CREATE FUNCTION IF NOT EXISTS MixedbreadRerank AS (query, documents, top_k) ->
    Rerank(query, documents, top_k, 'Mixedbread', '', '', '');
