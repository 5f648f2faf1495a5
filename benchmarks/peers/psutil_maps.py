# psutil_maps.py PID: prints how many mappings psutil sees.
import sys
import psutil

print(len(psutil.Process(int(sys.argv[1])).memory_maps(grouped=False)))
