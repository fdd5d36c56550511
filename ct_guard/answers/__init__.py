"""Scoring files of answers: in order, resumable, and with every row accounted for."""
