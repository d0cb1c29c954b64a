"""`driven schema`: what an application records, as a document, and what a change of it means for logs."""
