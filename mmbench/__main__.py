"""`python -m mmbench`."""

from .cli import main

main()
