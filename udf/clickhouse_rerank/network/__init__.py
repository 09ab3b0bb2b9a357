"""Bytes to a provider and back: one POST, one bounded response, and what that response means.

Owns the transport with its connections, TLS and name look-up, the SSRF guard, and the reading of error responses with
keys and texts redacted. Refuses to retry, to wait or to choose an endpoint. The client enters; the reranker asks the
SSRF guard for a dry run; a test or a benchmark passes another `Transport` through worker and reranker.
"""
