"""Which problems come next: levels climb on held-out problems alone, and every state survives a resume."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

from reasongym import Problem, Trajectory, UserError, Verdict, parts
from reasongym.core import Batch
from reasongym.curriculum import Epochs, Ladder, OneShot, Uniform, Window, held_out
from reasongym.tasks.mixture import Mixture
from reasongym.tasks.pool import Pool


@dataclass(frozen=True)
class Numbers:
    """Endless problems of any level; ``few`` makes a level of one problem."""

    few: bool = False
    levels: tuple[int, ...] = ()

    def sample(self, rng: np.random.Generator, level: int = 0) -> Problem:
        number = 0 if self.few else int(rng.integers(1 << 40))
        return Problem.of(f"{level}:{number}", answer=str(number), level=level)

    def verify(self, problem: Problem, text: str) -> Verdict:
        return Verdict(float(text == problem.answer))


def attempts(problems: list[Problem], scores: list[list[float]], valid: bool = True) -> Batch:
    return [
        [Trajectory(p, [], "", Verdict(s, valid=valid), False) for s in row]
        for p, row in zip(problems, scores, strict=True)
    ]


def observed(ladder: Ladder, rate: float, step: int = 0) -> None:
    """Let a share of the validation attempts be right."""
    problems, k = ladder.probe(step) or pytest.fail("no probe")
    right = round(rate * len(problems))
    ladder.observe(attempts(problems, [[1.0] * k] * right + [[0.0] * k] * (len(problems) - right)))


def begun(**settings: object) -> Ladder:
    ladder = Ladder(**settings)  # type: ignore[arg-type]
    ladder.problems(Numbers(), np.random.default_rng(0), 4)
    return ladder


def test_uniform_draws_one_level_or_a_range() -> None:
    rng = np.random.default_rng(0)
    assert {p.level for p in Uniform(3).problems(Numbers(), rng, 20)} == {3}
    assert {p.level for p in Uniform(2, 4).problems(Numbers(), rng, 200)} == {2, 3, 4}


@pytest.mark.parametrize("part", [Uniform(2, 4), Window(first=2)])
def test_what_a_ladder_validates_on_can_be_left_out(part: Uniform | Window) -> None:
    rng = np.random.default_rng(0)
    drawn = part.problems(Numbers(), rng, 300)
    assert 15 < sum(map(held_out, drawn)) < 70  # one in eight
    part = replace(part, apart=True)
    assert not any(map(held_out, part.problems(Numbers(), rng, 300)))
    with pytest.raises(UserError, match="too few problems to train"):
        few = Numbers(few=True)
        level = next(n for n in range(1, 99) if held_out(few.sample(rng, n)))
        replace(part, **({"first": level} if isinstance(part, Window) else {"level": level, "last": level})).problems(
            few, rng, 1
        )


@pytest.mark.parametrize(("rate", "level"), [(0.49, 1), (0.5, 1), (0.51, 2)])
def test_the_threshold_must_be_exceeded(rate: float, level: int) -> None:
    """Acceptance case 9 of SATURN: at epsilon .5, .49 stays and .51 advances."""
    ladder = begun(threshold=0.5, count=100, attempts=1)
    observed(ladder, rate)
    assert ladder.level == level


def test_a_window_of_validations_is_averaged() -> None:
    ladder = begun(threshold=0.5, window=2, count=10)
    observed(ladder, 1.0)
    assert ladder.level == 1  # one validation is not yet a window
    observed(ladder, 0.2)
    assert ladder.level == 2
    assert ladder.scores == []


def test_pass_at_k_counts_any_right_attempt() -> None:
    ladder = begun(threshold=0.9, k=4, attempts=4, count=8)
    problems, k = ladder.probe(0) or pytest.fail("no probe")
    ladder.observe(attempts(problems, [[0.0, 0.0, 1.0, 0.0]] * 8))
    assert (k, ladder.level) == (4, 2)


def test_stepping_back_is_optional_and_stops_at_the_first_level() -> None:
    stays, falls = begun(threshold=0.5), begun(threshold=0.5, back=0.2)
    for ladder in (stays, falls):
        observed(ladder, 1.0)
        observed(ladder, 0.0)
    assert (stays.level, falls.level) == (2, 1)
    observed(falls, 0.0)
    assert falls.level == 1


def test_training_and_validation_share_no_problem() -> None:
    ladder = begun(replay=0.5)
    rng = np.random.default_rng(1)
    trained = {p.id for _ in range(20) for p in ladder.problems(Numbers(), rng, 32)}
    validated, _ = ladder.probe(0) or pytest.fail("no probe")
    assert all(held_out(p) for p in validated)
    assert not trained & {p.id for p in validated}
    assert [p.id for p in validated] == [p.id for p in (ladder.probe(5) or ([], 0))[0]]  # the same each time


def test_earlier_levels_are_replayed() -> None:
    ladder = begun(replay=0.25)
    ladder.load_state_dict({"level": 5, "scores": []})
    levels = [p.level for p in ladder.problems(Numbers(), np.random.default_rng(0), 2000)]
    assert 0.2 < np.mean(np.array(levels) < 5) < 0.3
    assert set(levels) == {1, 2, 3, 4, 5}


def test_probes_come_every_so_many_steps_and_never_before_the_task_is_known() -> None:
    assert Ladder().probe(0) is None
    ladder = begun(every=5)
    assert [s for s in range(11) if ladder.probe(s)] == [0, 5, 10]


def test_training_samples_never_move_the_ladder() -> None:
    ladder = begun(threshold=0.1)
    problems = ladder.problems(Numbers(), np.random.default_rng(0), 8)
    ladder.update(attempts(problems, [[1.0] * 4] * 8))
    assert ladder.level == 1


def test_invalid_attempts_say_nothing() -> None:
    ladder = begun(threshold=0.5, back=0.4)
    problems, k = ladder.probe(0) or pytest.fail("no probe")
    ladder.observe(attempts(problems, [[0.0] * k] * len(problems), valid=False))
    assert (ladder.level, ladder.scores) == (1, [])


@pytest.mark.parametrize("make", [lambda: Ladder(last=2), lambda: Ladder()])
def test_the_ladder_ends(make: type[Ladder]) -> None:
    ladder = make()
    ladder.problems(Numbers(levels=(10, 20)), np.random.default_rng(0), 1)
    for _ in range(4):
        observed(ladder, 1.0)
    assert ladder.level == 2


@pytest.mark.parametrize(
    ("spec", "last"),
    [("sat", 35), ("compute", 10), ("recheck", 9), ("doubling", 99), ("sql", 6), ("sql_judge", 6)]
    + [("mixture(tasks=('register','compute','recheck'))", 9), ("mixture(tasks=('sat','recheck'),weights=(1,0))", 35)],
)
def test_levels_end_where_the_task_says(spec: str, last: int) -> None:
    task, rng = parts.make("tasks", spec), np.random.default_rng(0)
    assert task.last_level == last and task.sample(rng, last)
    with pytest.raises(UserError, match="level"):
        [task.sample(rng, last + 1) for _ in range(50)]
    for settings in ({}, {"last": last + 1}):
        ladder = Ladder(first=last - 1, count=2, attempts=1, every=1, **settings)
        ladder._task = task
        for _ in range(3):
            ladder.observe(attempts([Problem.of("x")], [[1.0]]))
        assert ladder.level == last


@pytest.mark.parametrize("last", [None, 1, 2])
def test_a_checkpoint_past_the_last_level_goes_on_at_it(last: int | None) -> None:
    task, rng, end = Numbers(levels=(10, 20)), np.random.default_rng(0), last or 2
    ladder, window = Ladder(last=last), Window(last=last, size=1)
    ladder.load_state_dict({"level": 3, "scores": [1.0]})
    window.load_state_dict({"highs": {"": 3}, "seen": {"": []}})
    assert {p.level for part in (ladder, window) for p in part.problems(task, rng, 9)} <= set(range(1, end + 1))
    assert (ladder.state_dict(), window.highs) == ({"level": end, "scores": []}, {"": end})


@pytest.mark.parametrize("make", [Ladder, Window])
def test_the_last_level_is_not_below_the_first(make: type[Ladder | Window]) -> None:
    with pytest.raises(UserError, match="last=1 must be at least first=3"):
        make(first=3, last=1)


def test_state_goes_on_where_it_was() -> None:
    one = begun(window=2, count=10)
    observed(one, 1.0)
    other = begun(window=2, count=10)
    other.load_state_dict(one.state_dict())
    for ladder in (one, other):
        observed(ladder, 1.0)
    assert one.state_dict() == other.state_dict() == {"level": 2, "scores": []}


def test_a_level_with_too_few_problems_is_one_clear_line() -> None:
    with pytest.raises(UserError, match="too few problems"):
        ladder = Ladder()
        ladder.problems(Numbers(few=True), np.random.default_rng(0), 1)
        ladder.probe(0)


@pytest.mark.parametrize("settings", [{"k": 5}, {"count": 0}, {"every": 0}, {"k": 0}])
def test_impossible_settings(settings: dict[str, int]) -> None:
    with pytest.raises(UserError, match="ladder"):
        Ladder(**settings)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("uniform(level=5,last=2)", "last=2 must be at least level=5"),
        ("uniform(level='a')", "level='a' must be a whole number"),
        ("window(size=0)", "size=0 must be a whole number of at least 1"),
        ("window(prompts=0)", "prompts=0 must be"),
        ("window(last=2.5)", "last=2.5 must be a whole number"),
        ("window(threshold='a')", "threshold='a' must be a number"),
        ("ladder(seed=-1)", "seed=-1 must be a whole number of at least 0"),
        ("ladder(count=1.5)", "count=1.5 must be"),
        ("ladder(first=-1)", "first=-1 must be"),
        ("ladder(k='a')", "k='a' must be"),
        ("ladder(replay=2)", "replay=2 must be a number from 0 to 1"),
        ("ladder(threshold='a')", "threshold='a' must be a number"),
        ("ladder(back='a')", "back='a' must be a number"),
        ("epochs(seed=-1)", "seed=-1 must be"),
    ],
)
def test_a_wrong_setting_is_named_when_it_is_given(spec: str, says: str) -> None:
    with pytest.raises(UserError, match=f"^{spec.partition('(')[0]}: {says}"):
        parts.make("curriculum", spec)


def test_the_window_slides_at_its_top_only() -> None:
    window = Window(size=2, prompts=2)
    rng, task = np.random.default_rng(0), Numbers()
    window.problems(task, rng, 1)
    easy = [Problem.of("e", level=0)] * 4
    window.update(attempts(easy, [[1.0, 1.0]] * 4))  # below the top: not counted
    assert window.highs.get("", 1) == 1
    top = [Problem.of("t", level=1)] * 2
    window.update(attempts(top, [[1.0, 1.0], [1.0, 0.0]]))  # .75 < .9: looked at, and the count begins anew
    assert window.state_dict() == {"highs": {}, "seen": {"": []}}
    window.update(attempts(top, [[1.0, 1.0], [1.0, 1.0]]))
    assert window.highs == {"": 2}
    assert {p.level for p in window.problems(task, rng, 50)} == {1, 2}
    window.load_state_dict({"highs": {"": 6}, "seen": {}})
    assert {p.level for p in window.problems(task, rng, 100)} == {5, 6}


def test_each_task_of_a_mixture_has_its_own_window() -> None:
    mixture = Mixture(tasks=("arithmetic", "register"))
    window, rng = Window(first=1, size=1, prompts=1), np.random.default_rng(0)
    problems = window.problems(mixture, rng, 40)
    hard = [p for p in problems if p.data["task"] == "arithmetic"]
    window.update(attempts(hard, [[1.0]] * len(hard)))
    assert window.highs == {"arithmetic": 2}
    levels = {(p.data["task"], p.level) for p in window.problems(mixture, rng, 60)}
    assert levels == {("arithmetic", 2), ("register", 1)}


def test_the_window_ends_with_the_task() -> None:
    window = Window(prompts=1)
    window.problems(Numbers(levels=(7,)), np.random.default_rng(0), 1)
    window.update(attempts([Problem.of("x", level=1)], [[1.0]]))
    assert window.highs == {}


def test_each_member_of_a_mixture_ends_its_own_window() -> None:
    mixture = Mixture(tasks=("recheck", "register"))
    window = Window(first=9, prompts=1)
    problems = window.problems(mixture, np.random.default_rng(0), 20)
    for _ in range(2):
        window.update(attempts([replace(p, level=window.highs.get(p.data["task"], 9)) for p in problems], [[1.0]] * 20))
    assert window.highs == {"register": 11}


# --- finite sets

POOL = Pool("register", n=10)
IDS = [POOL.problem(i).id for i in range(10)]


def drawn(part: Epochs | OneShot, n: int, seed: int = 0) -> list[str]:
    return [p.id for p in part.problems(POOL, np.random.default_rng(seed), n)]


def test_every_epoch_has_every_problem_once_in_a_new_order() -> None:
    part = Epochs(seed=3)
    ids = [name for step in range(5) for name in drawn(part, 6, step)]  # 30 in steps that do not divide an epoch
    epochs = [ids[:10], ids[10:20], ids[20:]]
    assert all(sorted(epoch) == sorted(IDS) for epoch in epochs) and epochs[0] != epochs[1] != epochs[2]
    again = Epochs(seed=3)
    drawn(again, 12)
    other = Epochs(seed=3)
    other.load_state_dict(again.state_dict())
    assert drawn(other, 18, 9) == ids[12:] and drawn(Epochs(seed=4), 30) != ids


def test_one_problem_fills_the_batch() -> None:
    """1-shot RLVR, section 3.3: the chosen row is duplicated to 128."""
    assert drawn(OneShot(4), 128) == [IDS[4]] * 128
    assert drawn(OneShot(IDS[7]), 3) == [IDS[7]] * 3


def test_each_of_k_problems_has_an_equal_share() -> None:
    """Acceptance case d: 64 + 64 and 32 * 4; where k does not divide the batch, counts differ by one, by lot."""
    for k, share in ((2, 64), (4, 32)):
        got = drawn(OneShot(list(range(k))), 128)
        assert {name: got.count(name) for name in set(got)} == dict.fromkeys(IDS[:k], share)
    uneven = [drawn(OneShot([0, 1, IDS[2]]), 8, seed) for seed in range(40)]
    counts = [tuple(got.count(name) for name in IDS[:3]) for got in uneven]
    assert set(counts) == {(2, 3, 3), (3, 2, 3), (3, 3, 2)}
    assert {name for seed in range(40) for name in drawn(OneShot([0, 1, 2]), 2, seed)} == set(IDS[:3])


@pytest.mark.parametrize("which", [10, -1, "0" * 16, []])
def test_a_problem_that_is_not_there(which: int | str | list[int]) -> None:
    with pytest.raises(UserError, match="oneshot"):
        drawn(OneShot(which), 2)


@pytest.mark.parametrize("part", [Epochs(), OneShot()])
def test_an_endless_task_has_no_list_of_problems(part: Epochs | OneShot) -> None:
    with pytest.raises(UserError, match="pool"):
        part.problems(Numbers(), np.random.default_rng(0), 2)
