CREATE FUNCTION IF NOT EXISTS OllamaScore AS (query, document) ->
    RerankScore(query, document, 'Ollama', '', '', '');
