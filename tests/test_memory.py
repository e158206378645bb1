"""Memory, as the system sees it."""

import subprocess
import sys

SETTLED = """
import ctypes
import re
from pathlib import Path
from svcdns.memory import give_back

def heap():
    begin, end = re.search(r"^(\\w+)-(\\w+) .*\\[heap\\]$", Path("/proc/self/maps").read_text(), re.MULTILINE).groups()
    return range(int(begin, 16), int(end, 16))

bytearray(16 * 2**20)
give_back()
"""


def run(program: str) -> str:
    """Run a program after as much was freed as there will ever be, and return what it prints."""
    done = subprocess.run([sys.executable, "-c", SETTLED + program], capture_output=True, text=True, check=True)
    return done.stdout


def test_what_is_large_is_not_taken_from_the_heap_though_as_much_was_freed_before() -> None:
    assert int(run("before = len(heap()); kept = bytearray(8 * 2**20); print(len(heap()) - before)")) < 2**20


def test_what_is_free_goes_back_though_the_heap_ends_with_what_is_not() -> None:
    program = """
from svcdns.memory import trim

def resident():
    smaps = Path("/proc/self/smaps").read_text()
    return int(re.search(r"\\[heap\\]\\n(?:.*\\n)*?Rss: +(\\d+) kB", smaps)[1])

kept = [bytearray(64 * 1024) for _ in range(200)]
full = resident()
del kept[:-1]
trim()
print(full - resident())
"""
    assert int(run(program)) > 199 * 64 * 0.9


def test_what_tls_is_read_into_is_taken_from_the_heap() -> None:
    where = "ctypes.addressof(ctypes.c_char.from_buffer(read))"
    assert run(f"read = bytearray(256 * 1024); print({where} in heap())") == "True\n"
