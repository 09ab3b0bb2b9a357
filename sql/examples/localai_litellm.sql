-- The same LocalAI server behind LiteLLM, which passes /v1/rerank through. Use LiteLLM's URL and key, and LocalAI's model.
SELECT Rerank(
    '食べ物に関する話',
    ['昨日は友達と公園でピクニックをしました。', '新しいレストランで食事をして、美味しいパスタを食べました。',
     '次の週末には山登りに行く予定です。', '昨晩、面白い映画を見ました。',
     '明日は大事な会議があるので、早く寝るつもりです。', '最近、読書に夢中になっています。',
     '彼はスポーツが得意で、特にサッカーが好きです。', '夏休みには家族と一緒に旅行に行きます。',
     '昨日の夕食は、自分で作ったカレーライスでした。', '今日は新しいプロジェクトの打ち合わせがあります。'],
    3, 'LocalAI', 'http://localhost:4000/v1/rerank', 'sk-YOUR_LITELLM_KEY',
    '{"model": "jina-reranker-v1-base-en"}') AS best;

-- A model from LiteLLM's own list, by its alias.
SELECT Rerank(
    'food for a picnic',
    ['a picnic in the rain', 'cold food for a picnic'],
    1, 'LiteLLM', 'http://localhost:4000', 'sk-YOUR_LITELLM_KEY', '{"model": "my-reranker"}') AS best;
