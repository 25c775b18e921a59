"""reasongym: Gymnasium environments in which language models learn to reason.

``import reasongym`` registers the ids, then ``gym.make("Delethink-v0")``; or, with no import,
``gym.make("reasongym:Delethink-v0")``. It loads gymnasium and numpy, and nothing heavier.
"""

import gymnasium as _gym

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
    Request,
    ResetNeeded,
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
from reasongym.env import ReasoningEnv, ShapeReward, Unicode
from reasongym.rollout import Rows, merge, pack, rollout, think
from reasongym.shaping import EpisodeShaper
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
    "Request",
    "ResetNeeded",
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

# The registered ids are named points of task x thinking x tools, not classes.
IDS = {
    "LongCoT-v0": {"task": "register", "thinking": "longcot"},
    "Delethink-v0": {"task": "register", "thinking": "delethink"},
}
for _id, _parts in IDS.items():
    if _id not in _gym.registry:
        _gym.register(_id, entry_point="reasongym.env:ReasoningEnv", kwargs=_parts)
