#!/bin/busybox sh
# The first process: makes a usual system of the kernel, runs the command, ends the machine.
/bin/busybox --install -s /bin
export PATH=/bin HOME=/
mount -t devtmpfs dev /dev 2>/dev/null || true # some kernels have done it
mkdir -p /dev/shm /dev/pts /dev/mqueue /dev/hugepages
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t tmpfs tmp /tmp
mount -t tmpfs shm /dev/shm
mount -t devpts pts /dev/pts
mount -t mqueue mqueue /dev/mqueue
echo 16 >/proc/sys/vm/nr_hugepages
mount -t hugetlbfs huge /dev/hugepages
ip link set lo up

# Bytes as they are, not as a terminal wants them.
stty -F /dev/@PORT@ raw -echo
exec </dev/null >/dev/@PORT@ 2>&1
uname -r
vmatlas @COMMAND@
printf '\nexit %s\n' $?
poweroff -f
