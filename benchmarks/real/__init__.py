"""How good evidence is on real models' graded answers. See `__main__`."""
