CREATE FUNCTION IF NOT EXISTS MixedbreadScore AS (query, document) ->
    RerankScore(query, document, 'Mixedbread', '', '', '');
