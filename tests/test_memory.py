"""Memory, as the system sees it."""

import subprocess
import sys

SETTLED = """
import ctypes
import re
from pathlib import Path
from svcdns.memory import map_what_is_large

def heap():
    begin, end = re.search(r"^(\\w+)-(\\w+) .*\\[heap\\]$", Path("/proc/self/maps").read_text(), re.MULTILINE).groups()
    return range(int(begin, 16), int(end, 16))

bytearray(16 * 2**20)
map_what_is_large()
"""


def run(program: str) -> str:
    """Run a program after as much was freed as there will ever be, and return what it prints."""
    done = subprocess.run([sys.executable, "-c", SETTLED + program], capture_output=True, text=True, check=True)
    return done.stdout


def test_what_is_large_is_not_taken_from_the_heap_though_as_much_was_freed_before() -> None:
    assert int(run("before = len(heap()); kept = bytearray(8 * 2**20); print(len(heap()) - before)")) < 2**20


def test_what_is_free_goes_back_though_the_heap_ends_with_what_is_not() -> None:
    program = """
import asyncio
from svcdns import memory

def resident():
    smaps = Path("/proc/self/smaps").read_text()
    return int(re.search(r"\\[heap\\]\\n(?:.*\\n)*?Rss: +(\\d+) kB", smaps)[1])

async def wait():
    keeping = asyncio.create_task(memory.keep_small())
    kept = [bytearray(64 * 1024) for _ in range(200)]
    full = resident()
    del kept[:-1]
    while full - resident() < 190 * 64:
        await asyncio.sleep(0)
    keeping.cancel()

memory._UNTIL_READ = memory._PAUSE = 0.001
asyncio.run(asyncio.wait_for(wait(), 20))
"""
    assert run(program) == ""


def test_what_tls_is_read_into_is_taken_from_the_heap() -> None:
    where = "ctypes.addressof(ctypes.c_char.from_buffer(read))"
    assert run(f"read = bytearray(256 * 1024); print({where} in heap())") == "True\n"
