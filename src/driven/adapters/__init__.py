"""Adapters: what the framework needs of the outside, one module for each thing that can give it."""
