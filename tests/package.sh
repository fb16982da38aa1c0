#!/usr/bin/env bash
# Tries the Debian package as an operator would, under a systemd of its own: install, collect,
# restart and upgrade under load, kill, remove, purge.
#
#   tests/package.sh FLOWCAP.deb [NEWER.deb]
#
# Needs root, and systemd, dpkg and python3 on this machine. Everything happens in namespaces,
# on a copy of this machine's root whose changes go to memory: nothing of it stays.
# ROOT names another root, as debootstrap makes it (with systemd, python3, iproute2, procps and
# softflowd); DATAGRAMS_PER_SEC is the load, 20000 unless set; KEEP=1 shows the journal at the end.
set -euo pipefail

if [ "${1:-}" != --inside ]; then
  [ $# -ge 1 ] || { sed -n '2,11s/^# \{0,1\}//p' "$0"; exit 2; }
  for need in systemctl dpkg python3 unshare; do
    command -v "$need" >/dev/null || { echo "skipped: there is no $need"; exit 0; }
  done
  [ "$(id -u)" = 0 ] || { echo "skipped: namespaces and a systemd in them need root"; exit 0; }
  stage=$(mktemp -d)
  cgroup=$(findmnt -nt cgroup2 -o TARGET | head -1)/flowcap-test.$$
  mkdir "$cgroup"
  trap 'umount -l "$stage" 2>/dev/null || true; rmdir "$stage"; find "$cgroup" -depth -type d -exec rmdir {} +' EXIT
  mount -t tmpfs -o mode=755 flowcap-test "$stage"
  mkdir "$stage"/{upper,work,root}
  cp "$1" "$stage/first.deb"
  cp "${2:-$1}" "$stage/second.deb"
  cp "$0" "$stage/steps"
  echo "${DATAGRAMS_PER_SEC:-20000}" >"$stage/rate"
  status=0
  # In a cgroup of its own, so that the systemd inside has one to divide.
  sh -c 'echo $$ >"$1/cgroup.procs"; shift; exec "$@"' sh "$cgroup" \
    unshare --mount --net --pid --uts --ipc --cgroup --fork --kill-child \
    "$0" --inside "$stage" || status=$?
  cat "$stage/upper/steps.log" || true
  [ -z "${KEEP:-}" ] || cat "$stage/upper/journal.log" || true
  exit "$status"
fi

# Inside: a root, and a systemd that runs the steps below and ends with their status.
stage=$2 root=$2/root
mount --make-rprivate /
mount -t overlay -o "lowerdir=${ROOT:-/},upperdir=$stage/upper,workdir=$stage/work" overlay "$root"
for path in run tmp dev; do mount -t tmpfs -o mode=755 "$path" "$root/$path"; done
chmod 1777 "$root/tmp"
mkdir "$root/dev/"{pts,shm}
ln -s pts/ptmx "$root/dev/ptmx"
for node in null zero full random urandom tty; do
  touch "$root/dev/$node"
  mount --bind "/dev/$node" "$root/dev/$node"
done
mount -t proc proc "$root/proc"
# What lies there is the kernel's, and the same outside.
mount --bind "$root/proc/sys" "$root/proc/sys"
mount -o remount,ro,bind "$root/proc/sys"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
ip link set lo up
# As after an installation: nothing enabled, nothing that keeps services from starting.
rm -rf "$root"/etc/systemd/system/*.wants "$root/var/lib/systemd" "$root/usr/sbin/policy-rc.d"
tr -d - </proc/sys/kernel/random/uuid >"$root/etc/machine-id"
cp "$stage"/{first.deb,second.deb,rate} "$root/"
sed '1,/^# The steps\.$/d' "$stage/steps" >"$root/steps"
cat >"$root/etc/systemd/system/flowcap-test.service" <<'END'
[Unit]
After=systemd-journald.service sysinit.target
[Service]
Type=oneshot
Environment=LC_ALL=C.UTF-8
ExecStart=/bin/bash /steps
ExecStopPost=/bin/sh -c 'journalctl -b --no-pager >/journal.log; systemctl exit --force $EXIT_STATUS'
StandardOutput=file:/steps.log
StandardError=inherit
END
export container=flowcap-test
# Not chroot: `PrivateUsers=` would not be allowed there.
cd "$root"
mkdir .old
pivot_root . .old
exec chroot . sh -c 'umount -l /.old; exec "$@"' sh /lib/systemd/systemd --unit=flowcap-test.service --log-target=journal >/dev/null </dev/null

# The steps.
set -euo pipefail
rate=$(cat /rate)
say() { printf '%-60s %s\n' "$1" "${2:-}"; }
fail() { say "FAILED: $1"; exit 1; }
expect() { [ "$2" = "$3" ] || fail "$1 is $2, not $3"; say "$1" "$2"; }
main_pid() { systemctl show -P MainPID flowcap.service; }
# Serial numbers (in `bytes`) of what was collected from the sender.
serials() {
  flowdump -r /var/lib/flowcap -o ndjson 'proto udp and src port 7' 2>/dev/null |
    python3 -c 'import json, sys
for line in sys.stdin: print(json.loads(line)["bytes"])' | sort -n >/tmp/serials
}
# Compares them with what was sent since `from`.
complete() {
  serials
  n_sent=$(cat /tmp/sent)
  seq 0 $((n_sent - 1)) >/tmp/expected
  n_missing=$(sort /tmp/expected | comm -23 - <(sort -u /tmp/serials) | wc -l)
  n_twice=$(uniq -d /tmp/serials | wc -l)
  # Where there are any, the machine is too slow for the rate; but they are known.
  n_dropped=$(journalctl -u flowcap.service --no-pager -o cat |
    awk '/^flowcap_kernel_dropped_datagrams_total/ { n += $2 } END { print n + 0 }')
  say "$1: of $n_sent sent" "$n_missing missing ($n_dropped dropped by the kernel), $n_twice twice"
}
cat >/tmp/send <<'END'
import os, socket, struct, sys, time
rate, until, first = int(sys.argv[1]), sys.argv[2], int((sys.argv + [0])[3])
out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
n, start = first, time.monotonic()
while not os.path.exists(until):
    due = first + int((time.monotonic() - start) * rate)
    for n in range(n, due):
        header = struct.pack("!HHIIIIBBH", 5, 1, 1000, int(time.time()), 0, n, 0, 0, 0)
        record = struct.pack("!4s4sIHHIIIIHHBBBBHHBBH", b"\xc0\0\2\1", b"\xc0\0\2\2", 0, 0, 0, 1, n,
                             500, 900, 7, 7, 0, 0, 17, 0, 0, 0, 0, 0, 0)
        out.sendto(header + record, ("127.0.0.1", 9995))
    n = due
    time.sleep(0.001)
open("/tmp/sent", "w").write(str(n))
END

dpkg -i /first.deb >/tmp/dpkg.log 2>&1 || { cat /tmp/dpkg.log; fail "the package does not install"; }
expect "after the installation the service" "$(systemctl is-active flowcap.service)" active
expect "and its sockets" "$(systemctl is-active flowcap.socket)" active
expect "both start with the machine" "$(systemctl is-enabled flowcap.service flowcap.socket | tr '\n' ' ')" "enabled enabled "
expect "it runs as" "$(ps -o user= -p "$(main_pid)")" flowcap
expect "its capabilities" "$(awk '/^CapBnd/ { print $2 }' "/proc/$(main_pid)/status")" 0000000000000000
expect "its directory" "$(stat -c '%U %a' /var/lib/flowcap)" "flowcap 750"
say "its sockets" "$(ss -Hulnp | awk '/flowcapd/ { print $4 }' | sort | tr '\n' ' ')"
say "their buffers, octets" "$(ss -Hulnm | grep -o 'rb[0-9]*' | sort -u | tr '\n' ' ')"
for _ in $(seq 20); do
  [ -z "$(systemctl show -P StatusText flowcap.service)" ] || break
  sleep 1
done
say "it says" "$(systemctl show -P StatusText flowcap.service)"

if command -v softflowd >/dev/null; then
  # Of 20 flows in a capture.
  python3 - >/tmp/capture.pcap <<'END'
import struct, sys
out = sys.stdout.buffer
out.write(struct.pack("<IHHIIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
for port in range(1001, 1021):
    udp = struct.pack("!HHHH", port, 53, 9, 0) + b"x"
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 29, 1, 0, 64, 17, 0, b"\xc0\0\2\1", b"\xc0\0\2\2")
    frame = bytes(12) + b"\x08\0" + ip + udp
    out.write(struct.pack("<IIII", 1795264200, 0, len(frame), len(frame)) + frame)
END
  softflowd -r /tmp/capture.pcap -v 9 -n 127.0.0.1:2055 >/tmp/softflowd.log 2>&1 || cat /tmp/softflowd.log
  systemctl restart flowcap.service
  expect "flows of softflowd" "$(flowdump -r /var/lib/flowcap -q 'proto udp and dst port 53' | wc -l)" 20
fi

# Sends until it is told to stop.
load() { rm -f /tmp/stop; python3 /tmp/send "$rate" /tmp/stop "$@" & }
relax() { touch /tmp/stop; wait; }

load
for _ in 1 2 3; do
  sleep 2
  before=$(main_pid)
  systemctl restart flowcap.service
  [ "$(main_pid)" != "$before" ] || fail "it was not restarted"
done
sleep 2
before=$(main_pid)
dpkg -i /second.deb >/tmp/dpkg.log 2>&1 || { cat /tmp/dpkg.log; fail "the package does not upgrade"; }
[ "$(main_pid)" != "$before" ] || fail "the upgrade left the old program running"
sleep 2
relax
systemctl restart flowcap.service
complete "3 restarts and an upgrade, $rate datagrams/s"
[ "$n_missing" = 0 ] && [ "$n_twice" = 0 ] || fail "a restart or the upgrade lost or doubled records"
expect "restarts that systemd made by itself" "$(systemctl show -P NRestarts flowcap.service)" 0

load "$(cat /tmp/sent)"
for _ in 1 2 3; do
  sleep 2
  before=$(main_pid)
  kill -9 "$before"
  until [ "$(main_pid)" != 0 ] && [ "$(main_pid)" != "$before" ]; do sleep 0.1; done
done
sleep 2
relax
systemctl restart flowcap.service
expect "after 3 times kill -9 the service" "$(systemctl is-active flowcap.service)" active
complete "3 times kill -9, $rate datagrams/s"
if [ -d /var/lib/flowcap/.flowcap/journal ]; then
  [ "$n_missing" = 0 ] && [ "$n_twice" = 0 ] || fail "a kill lost or doubled records"
else
  say "without a journal a kill loses the open slot"
fi

mkdir -p /run/systemd/system/flowcap.service.d
printf '[Service]\nWatchdogSec=2s\n' >/run/systemd/system/flowcap.service.d/watchdog.conf
systemctl daemon-reload
systemctl restart flowcap.service
sleep 5
before=$(main_pid)
kill -STOP "$before"
for _ in $(seq 100); do
  [ "$(main_pid)" = "$before" ] || break
  sleep 0.1
done
expect "stuck for 2 s, times the watchdog ended it" \
  "$(journalctl -u flowcap.service --no-pager | grep -c 'Watchdog timeout')" 1
sleep 2
expect "and the service is" "$(systemctl is-active flowcap.service)" active
rm -r /run/systemd/system/flowcap.service.d

mkdir -p /etc/systemd/system/flowcap.socket.d
printf '[Socket]\nListenDatagram=514\nListenStream=4739\n' >/etc/systemd/system/flowcap.socket.d/ports.conf
printf 'tcp = 4739\n' >>/etc/flowcap/flowcap.toml
systemctl daemon-reload
systemctl stop flowcap.socket
systemctl start flowcap.service
expect "with ports of a drop-in the service" "$(systemctl is-active flowcap.service)" active
expect "its sockets" "$(ss -Hlnput | awk '/flowcapd/ { print $1 $5 }' | sort | tr '\n' ' ')" \
  "tcp*:4739 udp*:2055 udp*:4739 udp*:514 udp*:9995 udp*:9996 "
rm -r /etc/systemd/system/flowcap.socket.d

echo "# mine" >>/etc/flowcap/flowcap.toml
dpkg -r flowcap >/tmp/dpkg.log 2>&1 || { cat /tmp/dpkg.log; fail "the package does not go"; }
expect "removed, the program" "$(pgrep -c flowcapd || true)" 0
expect "its settings" "$(tail -1 /etc/flowcap/flowcap.toml)" "# mine"
dpkg -P flowcap >/tmp/dpkg.log 2>&1 || { cat /tmp/dpkg.log; fail "the package is not purged"; }
say "purged; it says" "$(grep '^flowcap:' /tmp/dpkg.log)"
expect "its settings" "$(ls -d /etc/flowcap 2>/dev/null || echo gone)" gone
expect "its units" "$(find /etc/systemd/system /usr/lib/systemd/system -name 'flowcap.*' | wc -l)" 0
[ -n "$(find /var/lib/flowcap -name '*.parquet' | head -1)" ] || fail "the data is gone"
say "what was collected is still there"
