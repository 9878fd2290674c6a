"""Counts words: JSON on standard input, JSON on standard output.

A command of `fibrpc serve` reads one request and writes one response. It says
by the exit code 65 that the request is wrong; its last line on standard error
is what the caller is told then.
"""

import collections
import json
import sys

try:
    text = json.load(sys.stdin)["text"]
except (ValueError, KeyError, TypeError) as error:
    sys.exit(print(f"no text in the request: {error!r}", file=sys.stderr) or 65)

words = collections.Counter(text.split())
json.dump({"words": sum(words.values()), "different": len(words)}, sys.stdout)
