#!/bin/sh
# The guest's first process: makes the root private, runs the job, passes its exit status out.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin

# hostfs HOST GUEST ro|rw: a directory of the host in a User-Mode Linux guest.
hostfs() {
    mkdir -p "$2" && mount -t hostfs none "$2" -o "$3,$1" || echo "init: cannot mount $1 on $2"
}

# User-Mode Linux starts on the host's kept root directory, read-only: move to a tmpfs of our own, with
# the programs of the kept one.
if [ -d /new ] && [ "$1" != moved ] && [ -n "$vm_job" ]; then
    mount -t tmpfs -o mode=755,size=75% root /new
    cd /new || exit 1
    mkdir dev old proc root run sys tmp usr var vm
    cp -a /etc /init .
    for name in bin lib lib64 sbin; do ln -s "usr/$name" "$name"; done
    mount --bind /usr usr
    pivot_root . old
    exec /bin/sh /init moved
fi

mkdir -p /dev /proc /run/lock /run/netns /sys /tmp /var/lib /var/log /var/tmp /vm/out
ln -sfn /run /var/run
chmod 1777 /tmp /var/tmp
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
mkdir -p /dev/pts /dev/shm
mount -t devpts -o newinstance,ptmxmode=666,gid=5,mode=620 devpts /dev/pts
mount -t tmpfs -o mode=1777 shm /dev/shm
mount -t cgroup2 cgroup /sys/fs/cgroup 2>/dev/null
[ -e /dev/fd ] || ln -s /proc/self/fd /dev/fd
if [ -d /old ]; then umount -l /old && rmdir /old; fi
[ -n "$vm_job" ] && hostfs "$vm_job" /vm/job ro

# Sets vm_stdout, vm_stderr, vm_control, vm_archive, defines vm_mounts.
. /vm/job/settings
vm_mounts
hostname vm
modprobe -a $vm_modules || echo "init: cannot load $vm_modules"
ip link set lo up

tries=0
while [ ! -e "$vm_control" ] && [ $tries -lt 100 ]; do sleep 0.1; tries=$((tries + 1)); done
if [ "$vm_terminals" = yes ]; then
    for terminal in $vm_stdout $vm_stderr $vm_control; do stty raw -echo <$terminal; done
fi
exec 5>"$vm_control"

# The command writes to pipes, not to terminals, so that it does not think that it talks to a person.
mkfifo /run/vm-stdout /run/vm-stderr
cat /run/vm-stdout >"$vm_stdout" 5>&- &
first=$!
cat /run/vm-stderr >"$vm_stderr" 5>&- &
second=$!

echo booted >&5
/bin/sh /vm/job/command </dev/null >/run/vm-stdout 2>/run/vm-stderr 5>&-
status=$?

# What the command left behind would hold the pipes open and the exchange directory busy.
for process in /proc/[0-9]*; do
    process=${process#/proc/}
    case $process in
        1 | $first | $second) ;;
        *) kill -9 "$process" 2>/dev/null ;;
    esac
done
wait $first $second

if [ -n "$vm_archive" ]; then tar -c -f "$vm_archive" -C /vm/out .; else umount /vm/out; fi
echo "exit $status" >&5
exec 5>&-
sync
poweroff -f
