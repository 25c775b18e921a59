r"""Answers: what is found in a response, what counts as equal, and a worker that survives everything."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks.answer_pairs import pairs
from reasongym import answers
from reasongym.answers import worker
from reasongym.core import HostError, UserError

ROOT = Path(__file__).resolve().parents[1]
ROOT_GOLD, ROOT_ANSWER = r"\frac{\sqrt{3}}{3}", r"\frac{1}{\sqrt{3}}"  # needs algebra
TOWER = "9^{9^{9^9}}"


@pytest.fixture
def fresh() -> Iterator[None]:
    """No worker before and none left after."""
    answers.stop_workers()
    yield
    answers.stop_workers()
    assert not worker._pool.workers


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (r"so \boxed{42}.", "42"),
        (r"\boxed{1} no, \boxed{\frac{1}{2}} it is", r"\frac{1}{2}"),
        (r"\boxed{\boxed{5}}", "5"),
        (r"\boxed {7}", "7"),
        (r"$\boxed 7$", "7"),
        (r"\fbox{7}", "7"),
        (r"\boxed{\left\{ 1 \right.}", r"\left\{ 1 \right."),
        (r"\boxed{3} and then \boxed{\frac{1}{2", "3"),
        (r"\boxed{\frac{1}{2", None),
        (r"\boxed{}", None),
        ("steps\n#### 1,234\n", "1,234"),
        ("#### 5\n#### 6", "6"),
        ("####", None),
        ("The answer is 12. I am sure.\nBye", "12"),
        ("Final answer: 3.14\nBye now", "3.14"),
        ("First the answer is 1.\nNo, the answer is **2**.", "2"),
        ("**Answer: 5**", "5"),
        ("**Answer**: 5", "5"),
        ("**Answer:** ***5***\nBye", "5"),
        ("**The answer is 5.**", "5"),
        ("**The answer is 1.5.** I am sure.", "1.5"),
        ("* 2*3 = 6: the answer is *6*.", "6"),
        ("Answer:\n**5**", "5"),
        ("The answer is x^*.", "x^*"),
        ("The answer is **x^***.", "x^*"),
        ("**Answer:** z*", "z*"),
        ("As z* is real, the answer is z*.", "z*"),
        ("The answer is a*b.", "a*b"),
        ("The answer is **2**3**.", "2**3"),
        (r"\boxed{1} #### 2", "1"),
        ("42", "42"),
        (" (A) \n", "(A)"),
        ("I think of 42\nand of 43", None),
        ("I saw 42 " * 30, None),
        ("", None),
        ("  \n ", None),
    ],
)
def test_extract(text: str, found: str | None) -> None:
    assert answers.extract(text) == found


EQUAL = [
    ("42", "42"), ("42.0", "42"), ("+42", "42"), ("−42", "-42"), ("1,234", "1234"), ("1{,}234", "1234"),
    (r"1,\!234", "1234"),
    (r"10\,000", "10000"), (r"\$18.90", "18.9"), ("$18", "18"), ("-$5", "-5"), ("18 dollars", "$18"),
    (r"18 \text{ eggs}", "18"),
    ("5 million", "5000000"), ("5 months", "5"),
    (r"15 \text{ square inches}", r"15\mbox{ in}^2"), (".5", "0.5"), ("1/2", "0.5"),
    ("0.25", r"\frac14"),
    (r"\dfrac{1}{2}", r"\frac{2}{4}"), ("-1/2", r"-\frac{1}{2}"), (r"\frac{-1}{2}", r"-\frac{1}{2}"),
    (r"1\frac{4}{5}", "9/5"),
    ("1 4/5", "1.8"), (r"-1\frac{1}{2}", "-1.5"), (r"6.72 \times 10^{-5}", ".0000672"), ("1e3", "1000"),
    (r"0.\overline{3}", "1/3"),
    (r"50\%", "50"), ("50", r"50\%"), ("0.5", "50%"), ("1/2", "50%"), ("50 percent", "50%"), ("90", r"90^\circ"),
    (r"90^{\circ}", "90"), (r"\frac{\pi}{2}", r"90^\circ"), (r"90^\circ", r"\frac{\pi}{2}"), ("(A)", "A"), ("A.", "A"),
    (r"\text{(A)}", "A"), (r"\textbf{(A)}\ 12", "(A)"), ("Option A", "A"), ("Evelyn", r"\text{Evelyn}"), ("YES", "yes"),
    ("(1, 2)", "(1,2)"), (r"\left( \frac{3}{2}, -13 \right)", "(1.5,-13)"), (r"(-\infty, 2)", r"(-\infty,2)"),
    ("x < 2", r"(-\infty,2)"),
    (r"-2 \leq x \leq 7", r"x \in [-2,7]"), ("2 and 1", "1,2"), (r"\{2, 1\}", "1, 2"), ("{2, 1}", "1, 2"),
    ("x=1, x=-2", "1,-2"),
    (r"\pm 2", "2,-2"), (r"1 + \sqrt{19}, 1 - \sqrt{19}", r"1 \pm \sqrt{19}"), ("x=5", "5"), ("5", "x=5"),
    ("y = 2x+1", "2x - y = -1"),
    ("2x+1", "y = 2x + 1"), (r"(0,1) \cup (2,3)", r"(2,3)\cup(0,1)"),
    (r"\begin{bmatrix} 1 \\ 0.5 \end{bmatrix}", r"\begin{pmatrix}1\\1/2\end{pmatrix}"),
    ("52_{8}", "52_8"), ("3:4", "3 : 4"), (ROOT_ANSWER, ROOT_GOLD), ("sqrt(3)/3", ROOT_GOLD),
    ("(x-1)(x+1)", "x^2-1"), ("1024", "2^{10}"),
    ("p-q", "p - q"), ("9i+6", "6+9i"), (r"2\sin x\cos x", r"\sin(2x)"), (r"8\pi \text{ cm}^2", r"8\pi"),
    ("0.5x", r"\frac{x}{2}"), ("sin x", r"\sin x"), (r"\ln x", "ln x"), ("log n", r"\log n"), ("x ln x", r"x\ln x"),
    ("sin x cos x", r"\frac{1}{2}\sin 2x"), ("Log Cabin", r"\text{log cabin}"),
    (r"x \cdot y", "xy"), ("y*x", "xy"), ("y x", "xy"), ("xy", "yx^1"), ("A = xy", "y*x"), ("xy, 2", "2, y*x"),
    ("abc", r"c \cdot a \cdot b"),
    (r"\text{5}", "5"), (r"\mathrm{5}", "5"), (r"\mathbf{ 5 }", "5"), (r"$\textbf{1,234.}$", "1234"),
    ("5", r"\text{5 cm}"), (r"\text{x}", "x"), (r"\text{x+1}", "1+x"), ("June 20", r"\text{June 20}"),
    ("9" * 4000, int("9" * 4000)), ("27", 27.0), ("0.1", 0.1), ("0.75", Fraction(3, 4)), ("007", 7),
]  # fmt: skip


@pytest.mark.parametrize(("answer", "gold"), EQUAL)
def test_equal(answer: str, gold: Any) -> None:
    assert answers.equal(answer, gold, timeout_s=20)


DIFFERENT = [
    ("43", "42"), ("-42", "42"), ("42.5", "42"), ("420", "42"), ("1,23", "123"), ("12,34", "1234"), ("4 2", "42"),
    ("42x", "42"), ("", "42"),
    ("", ""), ("3.14", r"\pi"), ("3.14159265358979323846264338327950288419716939937510582", r"\pi"), ("0.333", "1/3"),
    ("1/3", "0.333"), ("0.3333333333333333333333", r"\frac{1}{3}"), ("1/2", "2"), ("50%", "0.5"), ("0.5%", "50%"),
    ("500%", "5"),
    ("5 cm", r"5 \text{ m}"), ("$5", "5 cents"), ("5 or 6", "5"), ("5 less", "5"), ("2+3", "5"),
    (r"\log_2 32", "5"), ("10/2/1", "5"),
    ("9=1", "1"), ("2x+3=5", "5"), ("x=3=5", "5"), ("y=5", "x=5"), ("x^2=5", "x=5"), ("B", "A"), ("a", "A"),
    ("A or B", "A"), ("AB", "A"),
    ("(A) is wrong, B", "A"), ("teas", r"\text{east}"), ("on", "no"), (r"\text{not even}", r"\text{even}"),
    ("(2,1)", "(1,2)"),
    ("[1,2]", "(1,2)"), ("[1,2)", "(1,2]"), ("(1,2,3)", "(1,2)"), ("1,2", "(1,2)"), ("(1,234)", "1234"),
    ("1", "1,2"), ("1,2,3", "1,2"),
    ("1,1", "1,2"), ("2", r"\pm 2"), ("x>2", r"[2,\infty)"), (r"x \ge 2", r"(-\infty, 2]"), ("3x^2", "3X^2"),
    (r"\pi(r^2-R^2)", r"\pi(R^2-r^2)"),
    ("y=2x+2", "2x - y = -1"), ("x=x+1", "y=y+2"),
    (r"\begin{pmatrix} 1 & 2 \end{pmatrix}", r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}"),
    ("42", "52_8"), ("52_9", "52_8"), ("6:8", "3:4"), (r"\frac{1}{2\sqrt{3}}", ROOT_GOLD),
    (r"\sqrt{2}+10^{-20}", r"\sqrt{2}"), ("x+1", "x"),
    (r"\frac{1}{0}", "1"), (r"\frac{1}{0}", r"\sqrt{2}"), ("1e999999999", "1"), (r"\frac12 ???", r"\sqrt{2}"),
    (r"\sqrt{2} \text{ is wrong}", r"\sqrt{2}"),
    ("5 tenths", "5"), (r"5 \text{ tenths}", "5"), ("5 hundredths", "5"), ("3 fifths", "3"), ("7 eighths", "7"),
    ("5 ten thousandths", "5"), ("5 hundred thousandths", "500"), ("2 quadrillion", "2"), ("2 hundreds", "2"),
    ("5 hundred thousand", "500"), ("18 doubled", "18"), ("18 negative", "18"), ("5 degrees below zero", "5"),
    ("cos x", r"\sin x"), ("sin y", r"\sin x"), ("x sin", "sin x"), ("sin X", r"\sin x"),
    ("ba", "ab"), ("x = no", "on"), (r"X \cdot y", "xy"), (r"x \cdot y", "XY"), (r"x \cdot y", "Xy"), ("x+y", "xy"),
    ("x*y*z", "xy"), ("xy", "x*z"), (r"n \cdot o", r"\text{on}"), ("x y", "yx is it"), ("2", "xy"), ("xy", "2"),
    (r"\text{6}", "5"), (r"\text{5 or 6}", "5"), (r"\text{5} + \text{1}", "5"), (r"\text{5 less}", "5"),
    (r"\text{y}", "x"), (r"\text{-5}", "5"), (r"\text{June 20}", "20"), (r"\text{a}", "A"),
]  # fmt: skip


@pytest.mark.parametrize(("answer", "gold"), DIFFERENT)
def test_different(answer: str, gold: Any) -> None:
    assert not answers.equal(answer, gold, timeout_s=20)


def test_labelled_pairs_of_the_benchmark() -> None:
    labelled = pairs(seed=1)[::41]
    assert len(labelled) > 300
    assert [p for p in labelled if answers.equal(p.answer, p.gold, timeout_s=20) != p.right] == []


def test_check_takes_the_whole_response() -> None:
    assert answers.check(r"It is $\boxed{1{,}234}$.", 1234) == answers.Verdict(1.0, "1{,}234")
    assert answers.check("The cost is\n#### 12", "13") == answers.Verdict(0.0, "12")
    assert answers.check("No idea, really.\nSorry.", "13") == answers.Verdict(0.0, None)


def test_what_the_prompt_asks_for_is_what_extract_finds() -> None:
    assert answers.ask("1 + 1?").startswith("1 + 1?\n\n")
    assert "\\boxed{}" in answers.ask("1 + 1?")


@pytest.mark.parametrize("gold", [None, True, [1, 2], b"1", float("nan"), float("-inf")])
def test_a_gold_answer_of_no_use_is_the_users_mistake(gold: Any) -> None:
    with pytest.raises(UserError, match="gold answer"):
        answers.check(r"\boxed{1}", gold)


@pytest.mark.parametrize("gold", [r"\sqrt{2}", "42", "x^2+1"])
@pytest.mark.parametrize(
    "text",
    [
        TOWER,
        "10000000!",
        "(" * 3000 + "1" + ")" * 3000,
        r"\boxed{" * 20000,
        "1" + " " * 100000 + "x",
        "\ud800\x00",
        "\\" * 10000,
    ],
)
def test_hostile_texts_are_wrong_answers_and_soon(text: str, gold: str) -> None:
    assert answers.equal(ROOT_ANSWER, ROOT_GOLD, timeout_s=20)  # a worker is there
    start = time.monotonic()
    verdict = answers.check(rf"\boxed{{{text}}}", gold, timeout_s=0.5)
    assert (verdict.score, verdict.valid) == (0.0, True)
    assert time.monotonic() - start < 4  # the bound is 0.5 s; the rest is for a busy machine


def test_a_time_out_leaves_a_worker_that_answers(fresh: None) -> None:
    assert answers.equal(ROOT_ANSWER, ROOT_GOLD, timeout_s=20)
    before = set(worker._pool.workers)
    assert not answers.equal(TOWER, r"\sqrt{2}", timeout_s=0.3)
    assert answers.equal(ROOT_ANSWER, ROOT_GOLD, timeout_s=20)
    assert set(worker._pool.workers) == before and len(before) == 1


def test_off_the_main_thread_with_a_bounded_number_of_workers(fresh: None) -> None:
    questions = [(ROOT_ANSWER, True), (r"\frac{1}{\sqrt{2}}", False)] * 8
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda q: answers.equal(q[0], ROOT_GOLD, timeout_s=20), questions))
    assert found == [right for _, right in questions]
    assert 1 <= len(worker._pool.workers) <= worker.MAX_WORKERS


def _in_a_process(queue: Any) -> None:
    queue.put(
        (answers.equal(ROOT_ANSWER, ROOT_GOLD, timeout_s=20), answers.equal("x+1", ROOT_GOLD + "+x", timeout_s=20))
    )


def test_in_a_daemonic_process_which_may_have_no_multiprocessing_children() -> None:
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    process = context.Process(target=_in_a_process, args=(queue,), daemon=True)
    process.start()
    assert queue.get(timeout=60) == (True, False)
    process.join(timeout=20)
    assert process.exitcode == 0
    queue.close()
    queue.join_thread()


FORK = f"""
import os, signal
from reasongym import answers
from reasongym.answers import worker
equal = lambda: answers.equal({ROOT_ANSWER!r}, {ROOT_GOLD!r}, timeout_s=20)
assert equal()
ours = [w._process.pid for w in worker._pool.workers]
fds = [w._process.stdin.fileno() for w in worker._pool.workers]
read, write = os.pipe()
child = os.fork()
if child == 0:
    assert not worker._pool.workers
    for fd in fds:
        try:
            os.fstat(fd)
            os._exit(3)
        except OSError:
            pass
    assert equal()
    theirs = [w._process.pid for w in worker._pool.workers]
    os.write(write, repr(theirs).encode())
    os._exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert equal() and [w._process.pid for w in worker._pool.workers] == ours
print(os.read(read, 100).decode(), ours)
"""


def run(program: str) -> str:
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    return done.stdout


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def gone(pids: list[int], seconds: float = 10) -> bool:
    end = time.monotonic() + seconds
    while any(map(alive, pids)) and time.monotonic() < end:
        time.sleep(0.05)
    return not any(map(alive, pids))


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks processes up in /proc")
def test_a_fork_has_its_own_worker_and_all_end_with_their_parents() -> None:
    pids = [int(p) for p in run(FORK).replace("[", " ").replace("]", " ").split()]
    assert len(pids) == len(set(pids)) == 2 and gone(pids)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks processes up in /proc")
def test_a_worker_ends_when_its_parent_is_killed_even_in_the_middle_of_a_question() -> None:
    program = (
        "import threading, time; from reasongym import answers; from reasongym.answers import worker; "
        f"answers.equal({ROOT_ANSWER!r}, {ROOT_GOLD!r}, timeout_s=20); "
        f"threading.Thread(target=answers.equal, args=({TOWER!r}, {ROOT_GOLD!r}), daemon=True).start(); "
        "time.sleep(0.3); print(*[w._process.pid for w in worker._pool.workers], flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pids = [int(p) for p in parent.stdout.readline().split()]
        parent.kill()
    assert len(pids) == 1 and gone(pids)


def test_an_idle_worker_that_was_killed_is_replaced(fresh: None) -> None:
    assert answers.equal(ROOT_ANSWER, ROOT_GOLD, timeout_s=20)
    (old,) = worker._pool.workers
    os.kill(old._process.pid, signal.SIGKILL)
    assert answers.equal(ROOT_ANSWER, ROOT_GOLD, timeout_s=20)
    assert old not in worker._pool.workers and len(worker._pool.workers) == 1


def test_a_worker_that_is_killed_in_the_middle_of_a_question_is_asked_again(fresh: None) -> None:
    assert answers.equal(ROOT_ANSWER, ROOT_GOLD, timeout_s=20)
    (old,) = worker._pool.workers
    os.kill(old._process.pid, signal.SIGSTOP)  # so that the question is surely unanswered when it dies
    found: list[Any] = []
    asker = threading.Thread(
        target=lambda: found.append(answers.check(rf"\boxed{{{ROOT_ANSWER}}}", ROOT_GOLD, timeout_s=20))
    )
    asker.start()
    time.sleep(0.2)
    assert not found
    os.kill(old._process.pid, signal.SIGKILL)
    asker.join(timeout=60)
    assert found == [answers.Verdict(1.0, ROOT_ANSWER)]


@pytest.mark.parametrize(
    ("program", "error"),
    [
        ("print('ready', flush=True); input()", "lost twice"),
        ("", "lost twice"),
        ("print('no module named sympy')", "cannot start: no module named sympy"),
    ],
)
def test_a_worker_that_cannot_work_is_the_hosts_failure(
    fresh: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, program: str, error: str
) -> None:
    (tmp_path / "program.py").write_text(program)
    monkeypatch.setattr(worker, "_PROGRAM", tmp_path / "program.py")
    verdict = answers.check(rf"\boxed{{{ROOT_ANSWER}}}", ROOT_GOLD)
    assert (verdict.score, verdict.valid) == (0.0, False) and error in verdict.detail["error"]
    with pytest.raises(HostError, match=error):
        answers.equal(ROOT_ANSWER, ROOT_GOLD)
    assert answers.check(r"\boxed{7}", "7").score == 1  # what needs no algebra goes on


def test_an_interpreter_that_is_gone_is_the_hosts_failure(fresh: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    with pytest.raises(HostError, match="cannot start"):
        answers.equal(ROOT_ANSWER, ROOT_GOLD)


def test_without_math_verify_plain_answers_work_and_others_name_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "math_verify", None)
    assert answers.equal("1,000", "1000") and not answers.equal("x+1", "1000")
    with pytest.raises(UserError, match=r"pip install reasongym\[math\]"):
        answers.check(rf"\boxed{{{ROOT_ANSWER}}}", ROOT_GOLD)


def test_an_interrupted_question_leaves_no_reply_for_the_next_one(fresh: None, monkeypatch: pytest.MonkeyPatch) -> None:
    assert answers.equal(ROOT_ANSWER, ROOT_GOLD, timeout_s=20)
    (old,) = worker._pool.workers

    def interrupted(timeout_s: float) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(old, "_line", interrupted)
    with contextlib.suppress(KeyboardInterrupt):
        answers.equal(r"\frac{1}{\sqrt{2}}", ROOT_GOLD)
    assert old not in worker._pool.workers and old._process.returncode is not None
    assert answers.equal(ROOT_ANSWER, ROOT_GOLD, timeout_s=20)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts open files in /proc")
def test_nothing_leaks(fresh: None) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(2):
        assert answers.equal(ROOT_ANSWER, ROOT_GOLD, timeout_s=20)
        answers.stop_workers()
    assert len(os.listdir("/proc/self/fd")) == before


def test_importing_it_loads_no_sympy() -> None:
    assert run(
        "import sys, reasongym.answers; print('sympy' in sys.modules, 'math_verify' in sys.modules)"
    ).split() == ["False", "False"]


PIECES = st.sampled_from(
    ["\\boxed{", "}", "{", "\\frac", "\\sqrt", "1", "2", ",", " ", "(", ")", "[", "]", "\\{", "\\}", "\\pm",
    "\\text{", "x", "=", "<", "\\le",
     "\\in", "\\cup", "%", "$", "\\$", "°", "/", ".", "-", "^", "_", "and", "or", "A", "\\begin{pmatrix}",
     "\\end{pmatrix}", "&", "\\\\",
     "\\infty", "\\pi", "million", "####", "answer is", ":", "\n", "\x00", "\ud800", "٣", "²"]
)  # fmt: skip
TEXTS = st.one_of(st.text(max_size=60), st.lists(PIECES, max_size=14).map("".join))


@given(
    TEXTS,
    st.one_of(
        st.sampled_from(["42", "(1, 2)", "1, 2", r"[1,\infty)", r"\text{(A)}", "50%", r"90^\circ"]), st.integers()
    ),
)
def test_no_text_makes_check_raise(text: str, gold: str | int) -> None:
    for whole in (text, f"\\boxed{{{text}}}"):
        verdict = answers.check(whole, gold)
        assert verdict.valid and verdict.score in (0.0, 1.0)


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(TEXTS, st.sampled_from([r"\sqrt{2}+x", "y = 2x+1", r"\frac{\pi}{12}"]))
def test_no_text_makes_algebra_raise(text: str, gold: str) -> None:
    verdict = answers.check(f"\\boxed{{{text}}}", gold, timeout_s=0.5)
    assert verdict.valid and verdict.score == 0.0


@given(TEXTS)
def test_any_answer_equals_itself_unless_it_is_blank(text: str) -> None:
    assert answers.equal(text, text) == bool(text.strip())


@given(st.fractions(max_denominator=10**6), st.fractions(max_denominator=10**6), st.integers(2, 9))
def test_fractions_are_equal_iff_their_values_are(a: Fraction, b: Fraction, k: int) -> None:
    gold = rf"\frac{{{a.numerator}}}{{{a.denominator}}}"
    assert answers.equal(f"{k * a.numerator}/{k * a.denominator}", gold)
    assert answers.equal(f"{b.numerator}/{b.denominator}", gold) == (a == b)


@pytest.mark.parametrize(
    ("said", "score"), [("12.8", 1), ("12.80", 1), ("12.7", 0), ("12.70", 0), (r"8\sqrt[3]{4}", 0)]
)
def test_neighbouring_decimals_are_different_answers(said: str, score: int) -> None:
    """1-shot RLVR (2504.20571), acceptance case h: pi_1's label is 12.8, whatever the cube root of 2048 is."""
    assert answers.check(rf"\boxed{{{said}}}", "12.8").score == score
