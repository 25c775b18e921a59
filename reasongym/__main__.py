"""``python -m reasongym``: the same as the script ``reasongym``."""

from reasongym.cli import main

main()
