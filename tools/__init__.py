"""How what the package ships was made; no part of it."""
