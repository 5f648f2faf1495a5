"""Makes objects, says where some are, and waits. With an argument numpy makes an array too."""

import os
import sys

texts = [str(number) * 3 for number in range(200_000)]
lists = {number: [number] for number in range(50_000)}
for index in range(0, len(texts), 10_000):
    print("small", hex(id(texts[index])))
if len(sys.argv) > 1:
    import numpy

    array = numpy.ones((1000, 1000))
    print("array", hex(array.ctypes.data), array.nbytes)
    product = array.dot(array)
    print("array", hex(product.ctypes.data), product.nbytes)
sys.stdout.flush()
# Nothing is allocated any more after the allocator said how many arenas it has.
os.dup2(1, 2)
sys._debugmallocstats()
os.write(1, b"\nready\n")
os.read(0, 1)
