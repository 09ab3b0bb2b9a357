CREATE FUNCTION IF NOT EXISTS TEIScore AS (query, document) ->
    RerankScore(query, document, 'TEI', '', '', '');
