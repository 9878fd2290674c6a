"""The tutorial's function as a command: n on standard input, fib(n) on standard output."""

import sys


def fib(n):
    a, b = 0, 1
    for _ in range(n):
        a, b = b, a + b
    return a


try:
    n = int(sys.stdin.read())
except ValueError as error:
    print(error, file=sys.stderr)
    sys.exit(65)
print(fib(n), end="")
