"""Scorers of other libraries on the same rows."""
