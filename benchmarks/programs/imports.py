"""Imports what programs import, with numpy if `numpy` is the argument, and works a little."""

import sys
import argparse, asyncio, csv, decimal, email, hashlib, http.client, json, logging, sqlite3, ssl
import subprocess, tempfile, unittest, urllib.request, xml.dom.minidom, zipfile

words = [json.dumps({"number": n, "hash": hashlib.sha256(str(n).encode()).hexdigest()}) for n in range(30000)]
total = sum(len(json.loads(word)["hash"]) for word in words)
if sys.argv[1:] == ["numpy"]:
    import numpy

    square = numpy.arange(360000, dtype=float).reshape(600, 600)
    total += int((square @ square).trace() % 1000)
print(total)
