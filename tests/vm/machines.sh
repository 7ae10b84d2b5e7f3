# shellcheck shell=bash disable=SC2004,SC2154 # what lib.sh has
# Hosts with a systemd of their own, as first process of a container: a root, a network, processes and control groups.
#   # disk: ansible
#   # files: tests/vm/machines.sh
# They lie over the image of that name, which has an sshd, Ansible and what it needs of a host, and the libraries of our package.

mkdir -p /tmp/machines/image
mount -t squashfs -o ro /dev/vdc /tmp/machines/image
echo +memory +pids >/sys/fs/cgroup/cgroup.subtree_control

# In the namespaces of machine $0, whose disk is mounted: its root becomes the root.
# shellcheck disable=SC2016 # expanded by the inner shell
first_steps='
	cd "/tmp/machines/$0" &&
	mount -t overlay -o "lowerdir=../image,upperdir=disk/upper,workdir=disk/work" root root && cd root &&
	mount -t proc proc proc && mount --bind proc/sys proc/sys && mount --bind proc/sys/net proc/sys/net &&
	mount -o remount,bind,ro proc/sys && mount -t sysfs -o ro sys sys && mount -t cgroup2 cgroup sys/fs/cgroup &&
	mount -t tmpfs -o mode=755 dev dev && mkdir dev/pts dev/shm && mount -t devpts -o newinstance,ptmxmode=666,mode=620 pts dev/pts &&
	for device in null zero full random urandom tty; do cp -a /dev/$device dev/; done && ln -s pts/ptmx dev/ptmx &&
	ln -s /proc/self/fd dev/fd && ln -s /proc/self/fd/0 dev/stdin && ln -s /proc/self/fd/1 dev/stdout && ln -s /proc/self/fd/2 dev/stderr &&
	mount -t tmpfs -o mode=755 run run && mount -t tmpfs tmp tmp && mkdir run/old && pivot_root . run/old && umount -l /run/old &&
	exec env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin /usr/lib/systemd/systemd --log-target=journal'

# machine NAME MEGABYTES: makes a disk of that size for a host that host and lan of lib.sh have given a network.
machine() {
	local dir=/tmp/machines/$1
	mkdir -p "$dir/disk" "$dir/root" "/sys/fs/cgroup/$1"
	mount -t tmpfs -o "size=$2m,mode=755" disk "$dir/disk"
	mkdir -p "$dir/disk/upper/etc" "$dir/disk/work"
	echo "$1" >"$dir/disk/upper/etc/hostname"
}

# boot NAME...: as often as power returns.
boot() {
	local name
	for name; do
		sh -c 'echo $$ >"/sys/fs/cgroup/$0/cgroup.procs" && exec ip netns exec "$0" unshare --mount --uts --ipc --pid --cgroup \
			--fork --kill-child bash -c "$1" "$0"' "$name" "$first_steps" </dev/null >"/tmp/machines/$name/console" 2>&1 {tap}>&- {never}<&- &
		pids[$name]=$!
	done
}

# first NAME: its first process, as seen from here.
first() { # the file has no end of line
	local pid
	read -r pid <"/proc/${pids[$1]}/task/${pids[$1]}/children" || [ -n "$pid" ] && echo "$pid"
}
# inside NAME COMMAND...
inside() { nsenter -t "$(first "$1")" -m -u -i -n -p -C -r -w "${@:2}"; }
is_up() { [[ $(inside "$1" systemctl is-system-running) =~ ^(running|degraded)$ ]]; }

# power_off NAME: at once.
power_off() {
	kill -KILL "${pids[$1]}"
	wait "${pids[$1]}" 2>/dev/null || true
}
