# psutil_maps.py PID: prints the number of mappings that psutil reports.
import sys
import psutil

print(len(psutil.Process(int(sys.argv[1])).memory_maps(grouped=False)))
