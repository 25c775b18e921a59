"""Zero-shot Delethink: decode any prompt of any model under any thinking, with no task and no verifier.

python examples/04_zero_shot_delethink.py
python examples/04_zero_shot_delethink.py Qwen/Qwen3-0.6B "How many primes are below 100?"
"""

import sys

import reasongym
from reasongym.policies.hf import HF

model = sys.argv[1] if len(sys.argv) > 1 else "tiny"
prompt = sys.argv[2] if len(sys.argv) > 2 else "^266641"
size = {"chunk": 32, "carry": 12, "head": 0, "max_chunks": 8} if model == "tiny" else {"chunk": 2048, "carry": 1024}

policy = HF(model)
[thought] = reasongym.think(policy, prompt, "delethink", **size)
for segment in thought.segments:
    written = sum(segment.mask)
    print(f"window of {len(segment.ids):5} tokens, {written:5} of them new")
    print("   ", policy.tokenizer.decode(segment.ids)[-200:].replace("\n", "\n    "))
print(f"\n{thought.text}\n\n{thought.length} tokens; the context never held more than {thought.info['peak_context']}")
