"""A row's arguments -> the requests to send, and the scores of their responses -> the row's ranking.

Owns `others`, endpoints, credentials' bindings, authentication and the plan of requests; decides them before any name
is looked up. Refuses to open a connection or to read a clock. The client, the cache, the usage log and the reranker
enter.
"""
