"""T/CEC 102 (中电联互联互通): envelope, tokens, bodies by contract, server door and client.

Usable alone: it needs no database and knows nothing of orders or partners. Where to begin:

* ``keys.KeySet`` and ``envelope`` — seal and open messages, pure functions
* ``contract.Contract`` — the decrypted bodies, compiled from ``openapi/tcec102.yaml``
* ``receive.receive`` with a ``receive.Door`` — one inbound call, checked in the standard's order
* ``edge.TcecEdge`` — the same as an ASGI application in front of another one
* ``client.TcecClient`` — call the other side
* ``errors`` — everything that can go wrong, drawn as a tree
"""
