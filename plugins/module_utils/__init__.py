"""Stowage: the pure part of the product, room by room (docs/architecture.md)."""
