CREATE FUNCTION IF NOT EXISTS AnthropicRerank AS (query, documents, top_k) ->
    Rerank(query, documents, if(length(query) + length(documents) GLOBAL IN (0), 0, top_k), 'Anthropic', '', '', '');
