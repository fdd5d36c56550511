"""How the estimator `smol` was made: `python -m tools.smol DATA`."""
