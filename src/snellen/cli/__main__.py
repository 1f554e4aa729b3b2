"""`python -m snellen.cli`, the same as `snellen`."""

from snellen.cli import main

main()
