#!/usr/bin/env python3
"""Reads a recording by what docs/recording.md says, and nothing else: no code is shared with vmatlas.

    read_recording.py FILE           a line for each block, definition and event
    read_recording.py --fuzz FILE    its payloads, as the fuzz target `recording` takes them

Needs the command zstd, as Python's standard library cannot unpack it before 3.14.
"""

import struct
import subprocess
import sys
import zlib

MAGIC = b"\x89vmatlas\r\n\x1a\nrec\x01"
TRAILER = b"vmaIndex"
KINDS = ["", "meta", "names", "stacks", "symbols", "events", "snapshot", "index"]
# The name of each call and how many arguments of it are kept; its number is its place.
CALLS = """- 0, mmap 6, munmap 2, mprotect 3, pkey_mprotect 4, mremap 5, brk 1, madvise 3, mlock 3,
munlock 2, mlockall 1, munlockall 0, mseal 3, mbind 6, remap_file_pages 5, shmat 4, shmdt 1,
prctl 5, personality 1, pkey_alloc 2, pkey_free 1, userfaultfd 1, UFFDIO_REGISTER 4,
UFFDIO_UNREGISTER 3, io_setup 3, io_destroy 1, map_shadow_stack 3, arch_prctl 2,
process_madvise 5, set_mempolicy_home_node 4"""
CALLS = [(name, int(count)) for name, count in (call.split() for call in CALLS.split(","))]
U64 = (1 << 64) - 1


def rotate_left(value, bits):
    return (value << bits | value >> 64 - bits) & U64


class Take:
    """Takes numbers from the front of bytes."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def more(self):
        return self.at < len(self.data)

    def raw(self, count):
        if count > len(self.data) - self.at:
            raise ValueError("the payload ends too early")
        self.at += count
        return self.data[self.at - count : self.at]

    def byte(self):
        return self.raw(1)[0]

    def uint(self):
        value = 0
        for shift in range(0, 70, 7):
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value & U64
        raise ValueError("a number of more than ten bytes")

    def signed(self):
        value = self.uint()
        return value >> 1 ^ -(value & 1)

    def bytes(self):
        return self.raw(self.uint())

    def pages(self):
        return rotate_left(self.uint(), 12)

    def address(self, near):
        return rotate_left(rotate_left(near, 52) + self.signed() & U64, 12)


def unpack(stored, size):
    zstd = subprocess.run(["zstd", "-d", "-c", "-q"], input=stored, stdout=subprocess.PIPE, check=True)
    if len(zstd.stdout) != size:
        raise ValueError("a payload has another size than its header says")
    return zstd.stdout


def blocks(data):
    """Offset, kind, first event, time and payload of each block, up to what is cut."""
    at = len(MAGIC)
    # A finished recording ends with the offset of its index and a mark.
    end = len(data) - 16 if data.endswith(TRAILER) else len(data)
    while at + 36 <= end:
        stored, size, kind, packed, zero, first, time, crc, zeroes = struct.unpack_from(
            "<IIBBHQQII", data, at
        )
        payload = data[at + 36 : at + 36 + stored]
        if zero or zeroes or packed > 1 or not 1 <= kind < len(KINDS) or len(payload) < stored:
            break
        if zlib.crc32(payload, zlib.crc32(data[at : at + 28])) != crc:
            raise ValueError(f"the block at byte {at} is damaged")
        yield at, kind, first, time, unpack(payload, size) if packed else payload
        at += 36 + stored


def text(data):
    """Bytes as hexadecimal digits, so that a line stays a line."""
    return data.hex() or "-"


def definitions(payload, counts):
    take = Take(payload)
    while take.more():
        tag = take.byte()
        counts[tag] = counts.get(tag, 0) + 1
        number = counts[tag]
        if tag == 1:
            major, minor, inode = take.uint(), take.uint(), take.uint()
            yield f"file {number} {major}:{minor} {inode} {text(take.bytes())} {text(take.bytes())}"
        elif tag == 2:
            yield f"task {number} {take.uint()} {take.uint()} {text(take.bytes())}"
        elif tag == 3:
            file, guessed = take.uint(), take.byte()
            yield f"frame {number} {file} {take.uint()} {guessed}"
        elif tag == 4:
            yield f"call {number} {take.uint()} {take.uint()}"
        elif tag == 5:
            pid, address, size = take.uint(), take.uint(), take.uint()
            yield f"symbol {number} {pid} {address} {size} {text(take.bytes())}"
        elif tag == 6:
            file, offset, function = take.uint(), take.uint(), text(take.bytes())
            into, source, inlined = take.uint(), text(take.bytes()), take.byte()
            yield f"place {number} {file} {offset} {function} {into} {source} {inlined}"
        else:
            raise ValueError(f"a definition with the tag {tag}")


class Events:
    """Reads the events of one block."""

    def __init__(self, payload, number, time):
        self.take, self.number, self.time = Take(payload), number, time
        self.task = self.stack = self.address = 0

    def all(self):
        while self.take.more():
            tag = self.take.byte()
            if not tag & 0x80:
                self.task = self.take.uint()
            self.time = self.time + self.take.signed() & U64
            self.stack += self.take.signed()
            what = self.what(tag & 0x7F)
            yield f"event {self.number} {self.time} {self.task} {self.stack} {what}"
            self.number += 1

    def what(self, tag):
        take = self.take
        if tag == 64:
            return f"clone {take.uint()} {take.byte()}"
        if tag == 65:
            return f"renamed {take.uint()}"
        if tag == 66:
            return f"exec {take.uint()}{self.rows()}"
        if tag == 67:
            return f"attached{self.rows()}"
        if tag == 68:
            start = take.address(self.address)
            end = take.address(start)
            self.address = start
            return f"observed {start} {end}{self.rows()}"
        if tag == 69:
            return f"exit {take.signed()}"
        if tag == 70:
            return f"signal {take.signed()} {take.signed()} {take.uint()}"
        if tag in (71, 75):
            self.address = take.address(self.address)
            return f"{'fault' if tag == 71 else 'write-fault'} {self.address}"
        if tag == 72:
            return f"lost {take.uint()}"
        if tag == 73:
            return f"resident{self.ranges()}"
        if tag == 74:
            values = [f" {text(take.bytes())}={take.uint()}" for _ in range(take.uint())]
            return f"registers{''.join(values)} {text(take.bytes())}"
        if not 1 <= tag < len(CALLS):
            raise ValueError(f"an event with the tag {tag}")
        return self.call(*CALLS[tag])

    def call(self, name, count):
        take = self.take
        bits = take.byte()
        arguments = [0] * 6
        for index in range(count):
            if index == 0:
                arguments[0] = take.address(self.address)
            elif index in (1, 5):
                arguments[index] = take.pages()
            else:
                arguments[index] = take.signed() & U64
        first = near = arguments[0]
        if bits & 4:
            result = 0
        elif bits & 8:
            result = first
        else:
            result = take.address(first or self.address)
            if 0 < result < 1 << 63:
                near = result
        if near:
            self.address = near
        file = take.uint() if bits & 1 else 0
        arguments = " ".join(map(str, arguments))
        return f"{name} {arguments} {result} {file} {bits >> 1 & 1}"

    def ranges(self):
        text = ""
        for _ in range(self.take.uint()):
            start = self.take.address(self.address)
            self.address = self.take.address(start)
            text += f" {start}-{self.address}"
        return text

    def rows(self):
        text = ""
        for _ in range(self.take.uint()):
            start = self.take.address(self.address)
            end = self.take.address(start)
            perms = self.take.raw(4).hex()
            offset, file = self.take.pages(), self.take.uint()
            self.address = end
            text += f" {start}-{end}:{perms}:{offset}:{file}"
        return text


def main():
    path = sys.argv[-1]
    with open(path, "rb") as file:
        data = file.read()
    if not data.startswith(MAGIC):
        sys.exit(f"{path}: not a recording of version 1")
    if sys.argv[1] == "--fuzz":
        for _, kind, first, time, payload in blocks(data):
            head = struct.pack("<BHH", kind, first & 0xFFFF, time // 1000 & 0xFFFF)
            sys.stdout.buffer.write(b"BLOCK" + head + payload)
        return
    counts = {}
    for at, kind, first, time, payload in blocks(data):
        print(f"block {at} {KINDS[kind]} {first} {time} {len(payload)}")
        lines = []
        if KINDS[kind] in ("names", "stacks", "symbols"):
            lines = definitions(payload, counts)
        elif KINDS[kind] == "events":
            lines = Events(payload, first, time).all()
        for line in lines:
            print(line)


main()
