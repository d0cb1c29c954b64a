"""The reception: what comes from outside gets a position, and whoever brings it gets a receipt.

Owned by the conductor, as long-lived; on the bus thread. Who has to wait at the entrance has waited before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from driven.bus.receipts import Receipt
from driven.bus.recorded import abandoned_receipt, receipt_from_log, receipt_of, refuse_other_command
from driven.service.built_in import draft_of

if TYPE_CHECKING:
    from driven.bus.admission import Admission
    from driven.bus.organs import Organs
    from driven.service.built_in import BuiltIn
    from driven.service.event_store import EventStore
    from driven.service.intake import Draft


class Reception:
    """Takes in root commands."""

    __slots__ = ("_admission", "_journal", "_registry", "_roots", "_store")

    def __init__(self, organs: Organs, admission: Admission, store: EventStore) -> None:
        """Nobody has come yet; `store` knows who came to an earlier bus."""
        self._registry: Final = organs.registry
        self._roots: Final = organs.roots
        self._journal: Final = organs.journal
        self._admission: Final = admission
        self._store: Final = store

    def command(self, draft: Draft, command_id: str | None, trace: str = "") -> Receipt:
        """Give a command from outside its position; it is durable when the latest page is in the store.

        Raises:
            CommandIdReused: the log holds another command under `command_id`.

        """
        if command_id is not None and (known := self._accepted_before(command_id, draft)) is not None:
            return known
        if self._journal.has_roots_alone:
            self._journal.turn_page()
        entry = self._admission.root(draft, command_id, trace)
        receipt = entry.root.receipt = Receipt(entry.position, entry.envelope.id)
        if entry.is_detached:
            receipt.will_start()
        self._roots.add(entry.root, command_id)
        return receipt

    def built_in(self, command: BuiltIn, command_id: str | None = None, trace: str = "") -> Receipt:
        """Give a built-in command its position; durable, and raises, as above."""
        draft = draft_of(command)
        if command_id is not None and (known := self._accepted_before(command_id, draft)) is not None:
            return known
        if self._journal.has_roots_alone:
            self._journal.turn_page()
        entry = self._admission.built_in(draft, command, command_id, trace)
        receipt = entry.root.receipt = Receipt(entry.position, entry.envelope.id)
        self._roots.add(entry.root, command_id)
        return receipt

    def receipt(self, command_id: str) -> Receipt | None:
        """The receipt of the command that was accepted under this id, if any."""
        root, store, catalog = self._roots.find(command_id), self._store, self._registry.catalog
        if root is None:
            return receipt_of(command_id, store, catalog)
        if root.receipt is None:  # abandoned
            return abandoned_receipt(root, command_id, self._roots.why_abandoned, store, catalog)
        return root.receipt

    def _accepted_before(self, command_id: str, draft: Draft) -> Receipt | None:
        """The receipt of the command that was accepted under this id before, if any (U5)."""
        root = self._roots.find(command_id)
        if root is None:
            return receipt_from_log(command_id, draft, self._store, self._registry.catalog)
        refuse_other_command(command_id, draft, root.draft, self._registry.name_of(root.draft.type_id), root.position)
        return root.receipt
