"""OCPP 1.6J, the second pile protocol: JSON over WebSocket, mapped to the same neutral events and commands as YKC."""
