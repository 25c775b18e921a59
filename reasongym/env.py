"""The environment: one state machine for every task, thinking and tool.

The order inside `ReasoningEnv.step` is fixed: clip to the room -> append -> end? verify -> pause?
tool -> room spent? then reset the context, or, the budget gone, verify what there is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from numbers import Integral
from typing import Any, Literal

import gymnasium as gym

from reasongym import parts
from reasongym.core import (
    Completion,
    Finish,
    HostError,
    Info,
    Observation,
    Problem,
    Reporter,
    ResetNeeded,
    Resumer,
    Session,
    Task,
    Thinking,
    Tokenizer,
    Tool,
    Trajectory,
    UserError,
    Verdict,
)
from reasongym.shaping import EpisodeShaper
from reasongym.spaces import Unicode as Unicode
from reasongym.thinking import CLOSER, mode
from reasongym.tokenizer import ByteTokenizer, load

Step = tuple[Observation, float, bool, bool, dict[str, Any]]
_OPTIONS = ("problem", "level", "budget", "response")


class ReasoningEnv(gym.Env[Observation, "str | Completion"]):
    """Reason about one problem, under one way to think, with tools or none.

    Observation ``{"prompt", "response"}``: the policy continues ``template(prompt) + response``.
    Action: a ``str`` (which ends the thought, unless it was clipped or ends in a tool's stop) or a
    `Completion`, whose token ids make everything exact. Reward: the verdict's score on the last
    step, else 0; NaN, ``truncated`` and ``info["valid"]=False`` where the host failed.

    ``reset(options=...)`` takes ``problem``, ``level``, ``budget`` and ``response``: a ``str`` is
    context (mask 0, not counted as used, but it takes up room in its window, and Delethink makes that good
    by no further window), a `Completion` the forced first action (counted; it may neither end the thought
    nor call a tool).

    Args:
        task: A `Task`, or a string such as ``"register"`` (see `reasongym.parts`).
        thinking: A `Thinking`, or a string such as ``"delethink(chunk=64, carry=32, head=4)"``.
        tools: `Tool` parts or strings.
        tokenizer: A `Tokenizer`, a folder or a hub id. None: UTF-8 bytes, so that "8192 tokens"
            are 8192 bytes.
        answer_after: Verify only what follows the first such string; 0 where it is absent.
        score: Verify the whole thought (``"trace"``), or only the last window (``"window"``, as
            the official Delethink trainer does).
        settings: Any setting of the task or the thinking, where these are given as strings:
            ``gym.make("Delethink-v0", chunk=64, carry=32, head=4)``.
    """

    metadata = {"render_modes": ["ansi"], "render_fps": 1}

    def __init__(
        self,
        task: str | Task = "register",
        thinking: str | Thinking = "longcot",
        tools: Iterable[str | Tool] = (),
        tokenizer: str | Tokenizer | None = None,
        answer_after: str | None = None,
        score: Literal["trace", "window"] = "trace",
        render_mode: str | None = None,
        **settings: Any,
    ) -> None:
        if score not in ("trace", "window"):
            raise UserError(f"score={score!r} must be 'trace' or 'window'")
        if answer_after is not None and (not isinstance(answer_after, str) or not answer_after):
            raise UserError(
                f"answer_after={answer_after!r} must be a text; leave it out to verify all, or quote a number"
            )
        mine = _route(settings, {"tasks": task, "thinking": thinking})
        if not isinstance(tools, Iterable):
            raise UserError(f"tools={tools!r} must be a list of tools, which may be empty")
        self.task: Task = parts.make("tasks", task, **mine["tasks"])
        self.thinking: Thinking = parts.make("thinking", thinking, **mine["thinking"])
        self.tools: list[Tool] = [parts.make("tools", t) for t in ([tools] if isinstance(tools, str) else tools)]
        self.tokenizer: Tokenizer = load(tokenizer) if isinstance(tokenizer, str) else tokenizer or ByteTokenizer()
        _check("task", self.task, "verify")
        _check("thinking", self.thinking, "room")
        _check("tokenizer", self.tokenizer, "encode")
        for tool in self.tools:
            _check("tools", tool, "open")
        self.answer_after, self.score, self.render_mode = answer_after, score, render_mode
        texts: Any = gym.spaces.Dict({"prompt": Unicode(), "response": Unicode()})
        self.observation_space = texts
        self.action_space = Unicode()
        self._stops = [t.stop for t in self.tools]
        self._sessions: list[Session] = []
        self._running = False

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Observation, Any]:
        """Begin an episode; see the class for ``options``. UserError for one that cannot be."""
        super().reset(seed=seed)
        options = dict(options or {})
        if unknown := sorted(set(options) - set(_OPTIONS)):
            raise UserError(f"reset: no option {', '.join(unknown)}; there is {', '.join(_OPTIONS)}")
        self.close()
        self._problem = self._pose(**options)
        budget = options.get("budget")
        self._now: Thinking = self.thinking if budget is None else self.thinking.with_budget(budget)
        self._prompt = "\n".join([self._problem.prompt, *(t.hint for t in self.tools if t.hint)])
        self._prefix = self.tokenizer.encode(self._now.prefix)
        self._trace: list[Sequence[int]] = [self._prefix]  # the whole thought in pieces, for the verifier
        self._kept: list[int] = []  # what of it stands in the window, without the prefix
        self._carried = self._used = self._sampled = self._resets = 0
        self._error = self._open()
        self._begin(options.get("response"))
        self._running = True
        return self._observation(), self._info()

    def step(self, action: str | Completion) -> Step:
        """Take what the policy wrote, in the order that the module says. ResetNeeded after the end."""
        if not self._running:
            raise ResetNeeded("this episode is over (or never began): call reset() first")
        ids, finish = self._read_action(action)
        self._append(ids, finish)
        if self._error:
            return self._end(truncated=True)
        if finish == "end":
            return self._end(truncated=False)
        fits = self._call_tools() if finish == "pause" else True
        if self._error or not fits or not self._make_room():
            return self._end(truncated=True)
        return self._observation(), 0.0, False, False, self._info()

    def render(self) -> str | None:
        """The prompt and the response in the window (``render_mode="ansi"``)."""
        if self.render_mode != "ansi":
            return None
        return "\n".join(self._observation().values()) if hasattr(self, "_kept") else ""

    def close(self) -> None:
        for session in self._sessions:
            session.close()
        self._sessions = []
        self._running = False

    # --- the parts of a step

    def _pose(self, problem: Problem | None = None, level: int | None = None, **rest: Any) -> Problem:
        if problem is None:
            if not isinstance(level or 0, Integral):
                raise UserError(f"reset: level={level!r} must be a whole number")
            return self.task.sample(self.np_random, level or 0)
        if not isinstance(problem, Problem):
            raise UserError(f"reset: problem={problem!r} must be a Problem; Problem.of(prompt, answer) makes one")
        return problem

    def _open(self) -> str:
        """Open a session of every tool; what went wrong, or ""."""
        try:
            for tool in self.tools:
                self._sessions.append(tool.open(self._problem, int(self.np_random.integers(1 << 31))))
        except HostError as error:
            return str(error)
        return ""

    def _begin(self, response: str | Completion | None) -> None:
        if isinstance(response, str):
            context = self.tokenizer.encode(response)
            self._trace.append(context)
            self._kept += context
            for session in self._sessions:
                if isinstance(session, Resumer):
                    session.resume(self._text())
        elif response is not None:
            ids, finish = self._read_action(response)
            if finish == "end" or len(ids) >= self._room():
                raise UserError("reset: the forced first action must neither end the thought nor fill the room")
            self._append(ids, finish)
            if not (response.ids or response.logprobs):
                self._sampled = 0  # nobody's sample: the rows take such a text for context too
            if self._stops and self._text().endswith(tuple(self._stops)):
                raise UserError("reset: the forced first action must not call a tool")
        if not self._make_room():
            raise UserError(f"reset: a response of {len(self._kept)} tokens leaves no room in {self._now!r}")

    def _read_action(self, action: str | Completion) -> tuple[Sequence[int], Finish]:
        """The ids of an action, clipped to the room, and how it finished."""
        if isinstance(action, Completion):
            ids, finish = action.ids or self.tokenizer.encode(action.text), action.finish
        elif isinstance(action, str):
            ids = self.tokenizer.encode(action)
            finish = "pause" if action.endswith(tuple(self._stops)) and self._stops else "end"
        else:
            raise UserError(f"an action is a str or a Completion, not {type(action).__name__}")
        if len(ids) > (room := self._room()):
            return ids[:room], "length"
        return ids, finish if ids else "end"  # writing nothing ends the thought, or it might never end

    def _append(self, ids: Sequence[int], finish: Finish) -> None:
        self._used += len(ids)
        self._sampled += len(ids)
        if finish == "end" and ids and ids[-1] in self.tokenizer.eos_ids:
            ids = ids[:-1]  # counted, but no part of the text
        self._trace.append(ids)
        self._kept += ids

    def _call_tools(self) -> bool:
        """Let the tool whose stop was written speak; False where its output passes the budget.

        The token that completes a stop may say more: the tool sees the thought up to its stop.
        """
        ids = list(chain.from_iterable(self._trace))
        text, before = self.tokenizer.decode(ids), self.tokenizer.decode(ids[:-1]).rstrip("\ufffd")
        for stop, session in zip(self._stops, self._sessions, strict=True):
            start = text.rfind(stop)
            if start < 0 or start + len(stop) <= len(before):
                continue
            try:
                output = session(text[: start + len(stop)])
            except HostError as error:
                self._error = str(error)
                return True
            if output is not None:
                return self._splice(self.tokenizer.encode(output))
        return True

    def _splice(self, output: list[int]) -> bool:
        if self._used + len(output) > self._now.budget:
            return False
        self._used += len(output)
        self._trace.append(output)
        self._kept += output
        return True

    def _room(self) -> int:
        return self._now.room(len(self._kept), self._carried, self._used, self._resets)

    def _make_room(self) -> bool:
        """Reset the context where the window is full; False where the budget is gone."""
        if self._room() > 0:
            return True
        kept = list(self._now.keep(self._kept, self._carried))
        if self._now.room(len(kept), len(kept), self._used, self._resets + 1) <= 0:
            return False
        self._kept, self._carried, self._resets = kept, len(kept), self._resets + 1
        return True

    # --- what the outside sees

    def _end(self, *, truncated: bool) -> Step:
        text = self._text()
        verdict = self._verify(text)
        reports = [session.report() if isinstance(session, Reporter) else {} for session in self._sessions]
        self.close()
        reward = float(verdict.score) if verdict.valid else float("nan")
        last: dict[str, Any] = {"verdict": verdict, "text": text, "tools": reports, "correct": reward}
        last |= {"prefix": self._now.prefix, "closer": self.answer_after or CLOSER}
        last["mode"] = mode(text.removeprefix(self._now.prefix), closer=last["closer"])
        info = self._info(room=0, valid=verdict.valid, **last)
        if not verdict.valid:
            info["error"] = str(verdict.detail.get("error", "the host failed"))
            truncated = True
        return self._observation(), reward, not truncated, truncated, info

    def _verify(self, text: str) -> Verdict:
        if self._error:
            return Verdict(0.0, valid=False, detail={"error": self._error})
        judged = text if self.score == "trace" else self._observation()["response"]
        if self.answer_after is not None:
            _, found, judged = judged.partition(self.answer_after)
            if not found:
                return Verdict(0.0, detail={"absent": self.answer_after})
        try:
            return self.task.verify(self._problem, judged)
        except HostError as error:
            return Verdict(0.0, valid=False, detail={"error": str(error)})

    def _text(self) -> str:
        return self.tokenizer.decode(list(chain.from_iterable(self._trace)))

    def _observation(self) -> Observation:
        return {"prompt": self._prompt, "response": self.tokenizer.decode([*self._prefix, *self._kept])}

    def _info(self, **last: Any) -> dict[str, Any]:
        info = Info(
            problem=self._problem,
            room=max(0, self._room()),
            stop=list(self._stops),
            response_ids=[*self._prefix, *self._kept],
            used=self._used,
            sampled=self._sampled,
            resets=self._resets,
            valid=not self._error,
        )
        return {**info, **last}


class ShapeReward(
    gym.Wrapper[Observation, "str | Completion", Observation, "str | Completion"], gym.utils.RecordConstructorArgs
):
    """Pay by an `EpisodeShaper` instead of the truth; the verdict stays in ``info``.

    A shaper that learns (hapo, thinkprune) learns from each episode as soon as it is paid: one update an episode.
    Shapers that need a group or a batch cannot be a wrapper: give them to an agent.
    """

    def __init__(self, env: gym.Env[Observation, Any], shaper: str | EpisodeShaper, **settings: Any) -> None:
        made = parts.make("rewards", shaper, **settings)
        if not isinstance(made, EpisodeShaper):
            raise UserError(f"ShapeReward: {type(made).__name__} needs more than one episode; give it to an agent")
        gym.utils.RecordConstructorArgs.__init__(self, shaper=shaper, **settings)
        gym.Wrapper.__init__(self, env)
        self.shaper = made

    def step(self, action: Any) -> Step:
        obs, reward, terminated, truncated, info = self.env.step(action)
        if (terminated or truncated) and judged(info)["valid"]:
            end = Trajectory(info["problem"], [], info["text"], info["verdict"], truncated, info)
            reward = self.shaper.score(end)
            self.shaper.update([[end]])
        return obs, float(reward), terminated, truncated, info


def judged(info: dict[str, Any]) -> dict[str, Any]:
    """The last ``info`` of an episode, if the environment itself ended it: a wrapper that cuts one has no verdict."""
    if "verdict" not in info:
        raise UserError("a time limit cut an episode before its verdict: leave out max_episode_steps, give a budget")
    return info


def _check(name: str, part: Any, method: str) -> None:
    if not hasattr(part, method):
        raise UserError(f"{name}: {part!r} has no {method}(): give an object that has, or the string of a part")


def _route(settings: dict[str, Any], specs: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Give each setting to the one part that takes it."""
    takes = {family: parts.accepts(family, spec) for family, spec in specs.items()}
    mine: dict[str, dict[str, Any]] = {family: {} for family in specs}
    for key, value in settings.items():
        takers = [family for family, keys in takes.items() if key in keys]
        if len(takers) != 1:
            known = ", ".join(sorted(set().union(*takes.values())))
            none = f"no such setting; there is {known}"
            raise UserError(f"{key}={value!r}: {'write it inside the string of one part' if takers else none}")
        mine[takers[0]][key] = value
    return mine
