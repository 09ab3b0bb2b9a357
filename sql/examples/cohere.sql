-- A wrapper that contains key and URL. On a cluster, add ON CLUSTER '{cluster}' after its name.
CREATE OR REPLACE FUNCTION ExampleCohereRerank AS (query, documents, top_k) ->
    Rerank(query, documents, top_k, 'Cohere', 'https://api.cohere.ai/v1/rerank', 'YOUR_COHERE_API_KEY', '');

SELECT ExampleCohereRerank(
    'capital of France',
    ['Lyon lies on the Rhone', 'Paris is the capital of France', 'the capital of Italy is Rome'],
    2) AS best;

-- A direct call, with a model and a limit of chunks per document, a parameter of v1.
SELECT Rerank(
    'river through Lyon',
    ['Lyon has a river', 'Paris is the capital of France', 'a river runs through Rome'],
    2, 'Cohere', 'https://api.cohere.ai/v1/rerank', 'YOUR_COHERE_API_KEY',
    '{"model": "rerank-v3.5", "max_chunks_per_doc": 10}') AS best;

-- A v2 URL uses v2 of the API, which limits tokens instead.
SELECT Rerank(
    'bridge across the Seine',
    ['a bridge across the Tiber', 'the oldest bridge across the Seine'],
    1, 'Cohere', 'https://api.cohere.com/v2/rerank', 'YOUR_COHERE_API_KEY',
    '{"model": "rerank-v3.5", "max_tokens_per_doc": 512}') AS best;
