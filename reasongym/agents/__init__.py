"""The agents, one file each: ``python -m reasongym.agents.grpo --help``.

In a wheel they lie beside this file. In a checkout they are the top-level folder ``agents/``, which has no
``__init__.py`` so that it never shadows another installed package of that name.
"""

from pathlib import Path

_root = Path(__file__).resolve().parents[2]
if (_root / "agents" / "grpo.py").is_file() and (_root / "pyproject.toml").is_file():
    __path__.append(str(_root / "agents"))
