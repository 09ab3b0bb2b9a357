CREATE FUNCTION IF NOT EXISTS PineconeRerank AS (query, documents, top_k) ->
    Rerank(query, documents, top_k, 'Pinecone', '', '', '');
