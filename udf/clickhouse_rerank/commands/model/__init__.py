"""`clickhouse-rerank model`: the models that score in the worker.

Owns folders of models, and where their files come from. Refuses everything but ONNX networks and their tokenizers.
"""
