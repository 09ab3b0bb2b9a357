"""The demonstration: a RAG query on the embedded engine, its candidates before and after Rerank."""


def run(provider: str, base_url: str, model: str) -> int:
    """Print the demonstration; the exit code."""
    raise NotImplementedError
