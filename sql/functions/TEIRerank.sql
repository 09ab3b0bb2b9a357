CREATE FUNCTION IF NOT EXISTS TEIRerank AS (query, documents, top_k) ->
    Rerank(query, documents, top_k, 'TEI', '', '', '');
