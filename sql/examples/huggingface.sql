-- A wrapper that contains the token and the URL of the model.
CREATE OR REPLACE FUNCTION ExampleHuggingFaceRerank AS (query, documents, top_k) ->
    Rerank(query, documents, top_k, 'HuggingFace',
        'https://router.huggingface.co/hf-inference/models/BAAI/bge-reranker-v2-m3', 'YOUR_HF_TOKEN', '');

SELECT ExampleHuggingFaceRerank('how tall is Fuji', ['Fuji is tall', 'Fuji apples are sweet', 'a tall tale'], 2) AS best;

-- A direct call to an Inference Endpoint. model_args are added to the request beside "inputs".
SELECT Rerank(
    'apples from Aomori',
    ['pears from Tottori', 'sweet apples from Aomori'],
    1, 'HuggingFace', 'https://abc123.us-east-1.aws.endpoints.huggingface.cloud', 'YOUR_HF_TOKEN',
    '{"model_args": {"parameters": {"function_to_apply": "sigmoid"}, "options": {"wait_for_model": true}}}') AS best;
