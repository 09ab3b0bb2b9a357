CREATE FUNCTION IF NOT EXISTS BedrockRerank AS (query, documents, top_k) ->
    Rerank(query, documents, top_k, 'Bedrock', '', '', '');
