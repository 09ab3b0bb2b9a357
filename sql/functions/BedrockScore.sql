CREATE FUNCTION IF NOT EXISTS BedrockScore AS (query, document) ->
    RerankScore(query, document, 'Bedrock', '', '', '');
