-- base_url is the endpoint's name, and api_key is the secret access key. The wrapper contains both.
CREATE OR REPLACE FUNCTION ExampleSageMakerRerank AS (query, documents, top_k) ->
    Rerank(query, documents, top_k, 'SageMaker', 'my-reranker', 'YOUR_AWS_SECRET_ACCESS_KEY',
        '{"access_key_id": "YOUR_AWS_ACCESS_KEY_ID", "region_name": "us-east-1"}');

SELECT ExampleSageMakerRerank('opening hours of the museum', ['museum opening hours', 'the museum shop'], 2) AS best;

-- A direct call, with temporary keys. model_args are added to the request beside "inputs".
SELECT Rerank(
    'tickets for students',
    ['tickets for groups', 'cheaper tickets for students'],
    1, 'SageMaker', 'my-reranker', 'YOUR_AWS_SECRET_ACCESS_KEY',
    '{"access_key_id": "YOUR_AWS_ACCESS_KEY_ID", "region_name": "us-east-1", "session_token": "YOUR_AWS_SESSION_TOKEN",
      "model_args": {"parameters": {"max_length": 256}}}') AS best;
