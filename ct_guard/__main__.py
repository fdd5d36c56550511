"""`python -m ct_guard` is `ct-guard`."""

from ct_guard.cli import main

main()
