-- A wrapper that contains key and URL.
CREATE OR REPLACE FUNCTION ExampleJinaRerank AS (query, documents, top_k) ->
    Rerank(query, documents, top_k, 'Jina', 'https://api.jina.ai/v1/rerank', 'YOUR_JINA_API_KEY', '');

SELECT ExampleJinaRerank(
    'organic skin care',
    ['mechanical keyboards', 'organic care for sensitive skin', 'skin of a drum'],
    2) AS best;

-- A direct call, with a model.
SELECT Rerank(
    'quiet keyboard',
    ['loud keyboard', 'a quiet mechanical keyboard', 'organic skin care'],
    2, 'Jina', 'https://api.jina.ai/v1/rerank', 'YOUR_JINA_API_KEY',
    '{"model": "jina-reranker-v2-base-multilingual"}') AS best;
