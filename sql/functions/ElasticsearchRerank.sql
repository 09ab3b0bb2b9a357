CREATE FUNCTION IF NOT EXISTS ElasticsearchRerank AS (query, documents, top_k) ->
    Rerank(query, documents, top_k, 'Elasticsearch', '', '', '');
