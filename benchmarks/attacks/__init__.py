"""A battery of attacks on the sandbox, each judged from the host's side.

    python -m benchmarks.attacks --backend auto|all|NAME [--only WORD] [--save]
    python -m benchmarks.attacks --docs

A file here is a kind of attack (`files`, `network`, ...) with its `ATTACKS`; `scene` is what the host has planted for
them to find and what it looks at after each; `battery` runs them; `docs` makes the table of ``docs/sandbox.md``.
"""
