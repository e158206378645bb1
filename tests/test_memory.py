"""Memory, as the system sees it."""

import subprocess
import sys

READS = """
import ctypes
import re
from pathlib import Path
from svcdns.memory import give_back

bytearray(16 * 2**20)
give_back()
read = bytearray(256 * 1024)
begin, end = re.search(r"^(\\w+)-(\\w+) .*\\[heap\\]$", Path("/proc/self/maps").read_text(), re.MULTILINE).groups()
print(int(begin, 16) <= ctypes.addressof(ctypes.c_char.from_buffer(read)) < int(end, 16))
"""
PROGRAM = """
import re
from pathlib import Path
from svcdns.memory import give_back

def heap():
    begin, end = re.search(r"^(\\w+)-(\\w+) .*\\[heap\\]$", Path("/proc/self/maps").read_text(), re.MULTILINE).groups()
    return int(end, 16) - int(begin, 16)

bytearray(16 * 2**20)
give_back()
before = heap()
kept = bytearray(8 * 2**20)
print(heap() - before)
"""


def test_what_is_large_is_not_taken_from_the_heap_though_as_much_was_freed_before() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 2**20


def test_what_tls_is_read_into_is_taken_from_the_heap() -> None:
    done = subprocess.run([sys.executable, "-c", READS], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"
