"""What the provider answers in this suite. In a server's container it runs on loopback: `script.py PORT NODE`."""

from __future__ import annotations

import signal
import sys

from provider import Provider, Reply, Request, Script, cohere

WHERE = "which node am I on"
"""A document whose score is the number of the node that asks."""
REFUSED = "refuse me"
"""A query that is answered with 401."""


def answering(node: int) -> Script:
    """The script of the provider that a node has to itself."""

    def answer(request: Request) -> Reply:
        asked = request.json
        if asked["query"] == REFUSED:
            return Reply(status=401, json={"message": "invalid api token"})
        if asked["documents"] == [WHERE]:
            return Reply(json={"results": [{"index": 0, "relevance_score": node}]})
        return cohere(request)

    return answer


if __name__ == "__main__":
    Provider(answering(int(sys.argv[2])), port=int(sys.argv[1]))
    signal.pause()
