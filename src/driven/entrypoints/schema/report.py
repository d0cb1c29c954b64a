"""What `driven schema` finds: the document of today, and what has changed since a baseline."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from driven.entrypoints.schema.comparison import TypeChange, changes_since
from driven.entrypoints.schema.document import SchemaDocument, document_of, read_document, write_document
from driven.service.registry import build_registry

if TYPE_CHECKING:
    from pathlib import Path

    from driven.service.application import Application


class SchemaReport(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that an application records, and what became of it."""

    application: str
    """The name that the application gave itself."""
    reference: str
    """``package.module:attribute``, as it was typed."""
    baseline: str | None
    """The file that was compared with; None: none was."""
    written: str | None
    """The file that was written; None: none was."""
    changes: tuple[TypeChange, ...]
    document: SchemaDocument

    @property
    def is_ok(self) -> bool:
        """Whether every log of the baseline can be read."""
        return not any(change.is_breaking for change in self.changes)


def schema_report(application: Application, reference: str, against: Path | None, write: Path | None) -> SchemaReport:
    """Compare with a baseline, then write the document, unless something breaks.

    Raises:
        RegistrationError: the application has faults.
        UnusableBaseline: the baseline cannot be read, or is none of ours.
        UnwritableBaseline: the file that is to be written cannot be.

    """
    registry = build_registry(application)
    try:
        document = document_of(registry)
    finally:
        registry.injector.close()
    changes: tuple[TypeChange, ...] = ()
    if against is not None:
        changes = changes_since(read_document(against), document, application.forgotten)
    is_written = write is not None and not any(change.is_breaking for change in changes)
    if write is not None and is_written:
        write_document(write, document)
    return SchemaReport(
        application=application.name,
        reference=reference,
        baseline=None if against is None else str(against),
        written=str(write) if is_written else None,
        changes=changes,
        document=document,
    )
