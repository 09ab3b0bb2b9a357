CREATE FUNCTION IF NOT EXISTS PineconeScore AS (query, document) ->
    RerankScore(query, document, 'Pinecone', '', '', '');
