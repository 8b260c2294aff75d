"""Parts of answers that are made once and sent often: finished JSON, kept under a stamp of all that they were made from.

A stamp is read from the database for every answer, in the answer's own read session and before the rows. So a piece is never older
than its stamp, in whichever process the change was made, and nothing has to be told to forget.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any

import structlog

from partners import metrics
from partners.asking import Asked
from partners.tcec102.contract import Contract
from partners.tcec102.jsonio import Rendered

Piece = Rendered

MOST_KEPT = 5_000
"""Pieces of one kind kept: half a kB for each connector or so."""

Documents = Callable[[Sequence[str]], Iterable[tuple[str, Mapping[str, Any]]]]
"""Ids in, `(id, document)` out; those that are gone meanwhile are left out."""

log = structlog.get_logger()


class Pieces:
    """Pieces of one `object` of the profiles (`StationInfo`); the least recently used are forgotten. Threads may share it.

    A piece is held against the contract when it is made: inside an answer nobody can look into it any more.
    """

    def __init__(self, contract: Contract, name: str, most: int = MOST_KEPT) -> None:
        self._name = name
        self._schema = contract.component(name)
        self._most = most
        self._lock = threading.Lock()
        self._kept: OrderedDict[Hashable, Piece] = OrderedDict()

    def told(self, asked: Asked, stamps: Mapping[str, Hashable], documents: Documents) -> list[Piece]:
        """The pieces of these objects for this link, in the order of `stamps` (stamp by id); only missing ones are made."""
        keys = {one: (asked.link.id, asked.link.version, one, stamp) for one, stamp in stamps.items()}
        found = self._find(keys)
        missing = [one for one in keys if one not in found]
        if missing:
            made = {one: self._piece(asked, document) for one, document in documents(missing)}
            self._keep({keys[one]: piece for one, piece in made.items()})
            found |= made
        return [found[one] for one in keys if one in found]

    def _piece(self, asked: Asked, document: Mapping[str, Any]) -> Piece:
        body = asked.answer(self._name, document)
        if wrong := self._schema.check_outgoing(body):
            metrics.BAD_PIECES.labels(self._name).inc()
            log.error("piece_violates_contract", piece=self._name, link=asked.link.slug, field=wrong[0].field)
        return Piece(self._schema.write(body, asked.link.profile.writing))

    def _find(self, keys: Mapping[str, Hashable]) -> dict[str, Piece]:
        with self._lock:
            found = {one: self._kept[key] for one, key in keys.items() if key in self._kept}
            for one in found:
                self._kept.move_to_end(keys[one])
        return found

    def _keep(self, made: Mapping[Hashable, Piece]) -> None:
        with self._lock:
            self._kept.update(made)
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)
