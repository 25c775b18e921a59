"""The table of ``docs/sandbox.md``, from the results that the battery has saved."""

from __future__ import annotations

import json
from typing import Any

from benchmarks import report
from reasongym.sandbox import BACKENDS

PAGE = report.ROOT / "docs" / "sandbox.md"
BEGIN = "<!-- attacks: written by python -m benchmarks.attacks --docs -->"
END = "<!-- attacks: end -->"


def results() -> dict[str, dict[str, Any]]:
    """What was saved of each backend, best first; then of backends with settings."""
    found = [json.loads(p.read_text(encoding="utf-8")) for p in sorted(report.RESULTS.glob("attacks_*.json"))]
    order = {name: i for i, name in enumerate(BACKENDS)}
    return {r["backend"]: r for r in sorted(found, key=lambda r: order.get(r["backend"], len(order)))}


def table(saved: dict[str, dict[str, Any]]) -> str:
    """Blocked attacks of all, by kind and backend; and what was not blocked, by name."""
    kinds = list(dict.fromkeys(row["kind"] for result in saved.values() for row in result["rows"]))
    lines = [f"| attacks blocked | {' | '.join(saved)} |", f"|---|{'---|' * len(saved)}"]
    for kind in kinds:
        lines.append(f"| {kind} | {' | '.join(_share(r['rows'], kind) for r in saved.values())} |")
    lines.append(f"| **all** | {' | '.join(_share(r['rows']) for r in saved.values())} |")
    lines.append(
        f"| made the host fail (`valid=False`) | {' | '.join(str(r['invalid_caused']) for r in saved.values())} |"
    )
    slowest = [f"{r['max_return_s']:.3f} s" for r in saved.values()]
    lines.append(f"| slowest reply, limit 1 s | {' | '.join(slowest)} |")
    lines.append(f"| kernel | {' | '.join(r['kernel'] for r in saved.values())} |")
    open_ = [f"- {name}: {what}" for name, result in saved.items() for what in result["succeeded"]]
    return "\n".join([*lines, "", "Not blocked:" if open_ else "Not blocked: none.", *([""] if open_ else []), *open_])


def _share(rows: list[dict[str, Any]], kind: str = "") -> str:
    mine = [row for row in rows if not kind or row["kind"] == kind]
    return f"{sum(not row['succeeded'] for row in mine)}/{len(mine)}"


def generated(page: str, saved: dict[str, dict[str, Any]]) -> str:
    """The page with its table as the results have it."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{table(saved)}\n\n{END}{after}"


def write() -> None:
    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(generated(page, results()), encoding="utf-8")
