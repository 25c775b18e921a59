"""reasongym: Gymnasium environments in which language models learn to reason.

``import reasongym`` registers the ids, then ``gym.make("Delethink-v0")``; or, with no import,
``gym.make("reasongym:Delethink-v0")``. It loads gymnasium and numpy, and nothing heavier.
"""

import sys as _sys
from importlib import import_module as _import_module
from types import ModuleType as _ModuleType
from typing import TYPE_CHECKING as _TYPE_CHECKING
from typing import Any as _Any

import gymnasium as _gym

if _TYPE_CHECKING:
    from reasongym.core import (
        Batch,
        Completion,
        Curriculum,
        Demonstrator,
        FiniteTask,
        Group,
        HostError,
        Policy,
        Problem,
        Reporter,
        Request,
        ResetNeeded,
        Resumer,
        Sampling,
        Schedule,
        Segment,
        Session,
        Shaper,
        StreamingPolicy,
        Task,
        Thinking,
        Tokenizer,
        Tool,
        Trajectory,
        UserError,
        Verdict,
    )
    from reasongym.env import ReasoningEnv, ShapeReward
    from reasongym.rollout import rollout, think
    from reasongym.segments import Rows, merge, pack
    from reasongym.shaping import EpisodeShaper
    from reasongym.spaces import Unicode
    from reasongym.thinking import Delethink, LongCoT
    from reasongym.tokenizer import ByteTokenizer, Chat

__version__ = "0.1.0"
__all__ = [
    "Batch",
    "ByteTokenizer",
    "Chat",
    "Completion",
    "Curriculum",
    "Delethink",
    "Demonstrator",
    "EpisodeShaper",
    "FiniteTask",
    "Group",
    "HostError",
    "IDS",
    "LongCoT",
    "Policy",
    "Problem",
    "ReasoningEnv",
    "Reporter",
    "Request",
    "ResetNeeded",
    "Resumer",
    "Rows",
    "Sampling",
    "Schedule",
    "Segment",
    "Session",
    "ShapeReward",
    "Shaper",
    "StreamingPolicy",
    "Task",
    "Thinking",
    "Tokenizer",
    "Tool",
    "Trajectory",
    "Unicode",
    "UserError",
    "Verdict",
    "merge",
    "pack",
    "rollout",
    "think",
]

# Where each name lives: a module is loaded when the first of its names is asked for (PEP 562), so that
# ``import reasongym`` costs hardly more than gymnasium, and ``gym.make`` alone pays for the environment.
_HOMES = {
    "core": "Batch Completion Curriculum Demonstrator FiniteTask Group HostError Policy Problem Reporter Request "
    "ResetNeeded Resumer Sampling Schedule Segment Session Shaper StreamingPolicy Task Thinking Tokenizer Tool "
    "Trajectory UserError Verdict",
    "env": "ReasoningEnv ShapeReward",
    "rollout": "rollout think",
    "segments": "Rows merge pack",
    "shaping": "EpisodeShaper",
    "spaces": "Unicode",
    "thinking": "Delethink LongCoT",
    "tokenizer": "ByteTokenizer Chat",
}
_HOME = {name: home for home, names in _HOMES.items() for name in names.split()}


def __getattr__(name: str) -> _Any:
    if name not in _HOME:
        raise AttributeError(f"module 'reasongym' has no attribute {name!r}")
    found = globals()[name] = getattr(_import_module(f"reasongym.{_HOME[name]}"), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class _Package(_ModuleType):
    """``reasongym.rollout`` is the function, also after its module of the same name has been imported."""

    def __setattr__(self, name: str, value: _Any) -> None:
        shared = name == "rollout" and isinstance(value, _ModuleType)
        super().__setattr__(name, value.rollout if shared else value)


_sys.modules[__name__].__class__ = _Package

# The registered ids are named points of task x thinking x tools, not classes.
IDS = {
    "LongCoT-v0": {"task": "register", "thinking": "longcot"},
    "Delethink-v0": {"task": "register", "thinking": "delethink"},
    "SAT-v0": {"task": "sat", "thinking": "longcot"},
    "CodeInterpreter-v0": {"task": "compute", "thinking": "longcot", "tools": "python"},
    "TextToSQL-v0": {"task": "sql", "thinking": "longcot", "tools": "sql"},
    "SQLJudge-v0": {"task": "sql_judge", "thinking": "longcot"},
}
for _id, _parts in IDS.items():
    if _id not in _gym.registry:
        _gym.register(_id, entry_point="reasongym.env:ReasoningEnv", kwargs=_parts)
