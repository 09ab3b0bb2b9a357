"""A row's arguments -> the requests to send, and the scores of their responses -> the row's ranking.

Owns `others`, endpoints, the binding of credentials, authentication and the plan of requests, and decides them before
any host name is looked up. Refuses to open a connection or to read a clock. The client, the cache, the usage log and
the reranker enter.
"""
