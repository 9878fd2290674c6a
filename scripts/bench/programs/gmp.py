"""The number and its digits, by the GNU MP library."""

import ctypes
import ctypes.util
import time

from measure import Stopwatch, arguments

gmp = ctypes.CDLL(ctypes.util.find_library("gmp") or "libgmp.so")
gmp.__gmpz_sizeinbase.restype = ctypes.c_size_t


class Mpz(ctypes.Structure):
    _fields_ = [
        ("alloc", ctypes.c_int),
        ("size", ctypes.c_int),
        ("limbs", ctypes.c_void_p),
    ]


def fibonacci(n):
    number = Mpz()
    gmp.__gmpz_init(ctypes.byref(number))
    gmp.__gmpz_fib_ui(ctypes.byref(number), ctypes.c_ulong(n))
    size = gmp.__gmpz_sizeinbase(ctypes.byref(number), 10) + 2
    digits = ctypes.create_string_buffer(size)
    gmp.__gmpz_get_str(digits, 10, ctypes.byref(number))
    gmp.__gmpz_clear(ctypes.byref(number))
    return digits


def main():
    args = arguments()
    stopwatch = Stopwatch()
    for _ in range(args.calls):
        start = time.perf_counter()
        fibonacci(int(args.n))
        stopwatch.times.append(time.perf_counter() - start)
    stopwatch.print()


main()
