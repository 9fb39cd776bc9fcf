"""`python -m avnir` is `avnir`."""

from avnir.cli import main

main()
