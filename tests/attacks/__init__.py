"""Attacks on an estimator's reading: what must not move, whatever a text says (see SECURITY.md)."""
