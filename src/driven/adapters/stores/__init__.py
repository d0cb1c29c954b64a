"""Stores: the adapters of the `EventStore` port, one module each."""
