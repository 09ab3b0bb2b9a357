CREATE FUNCTION IF NOT EXISTS ElasticsearchScore AS (query, document) ->
    RerankScore(query, document, 'Elasticsearch', '', '', '');
