package bpf

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Supported says in one line why this machine's kernel cannot enforce, or nil.
// Whether an application can be guarded, Inspect tells: versions lie.
func Supported() error {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return err
	}
	if err := newEnough(unix.ByteSliceToString(name.Release[:])); err != nil {
		return err
	}
	for _, c := range []struct {
		bit  int
		name string
	}{{unix.CAP_BPF, "CAP_BPF"}, {unix.CAP_NET_ADMIN, "CAP_NET_ADMIN"}, {unix.CAP_PERFMON, "CAP_PERFMON"}} {
		if !capable(c.bit) {
			return fmt.Errorf("the process lacks %s", c.name)
		}
	}
	offsets, err := os.ReadFile("/proc/self/timens_offsets")
	if err != nil && !errors.Is(err, os.ErrNotExist) { // a kernel without such namespaces
		return fmt.Errorf("time namespace: %w", err)
	}
	if err := ownBootClock(string(offsets)); err != nil {
		return err
	}
	if _, err := cgroupRoot(); err != nil {
		return err
	}
	return nil
}

// newEnough refuses what is older than 6.1, the oldest kernel of long support on
// which everything that the programs call is there.
func newEnough(release string) error {
	var major, minor int
	if _, err := fmt.Sscanf(release, "%d.%d", &major, &minor); err != nil || major < 6 || major == 6 && minor < 1 {
		return fmt.Errorf("the kernel is %s and 6.1 is the oldest that will do", release)
	}
	return nil
}

// ownBootClock refuses a process whose boot clock is not the machine's, as in a time
// namespace: the programs go by the machine's, and a lease or a token would end at
// another time than was meant.
func ownBootClock(offsets string) error {
	for line := range strings.Lines(offsets) {
		fields := strings.Fields(line)
		if len(fields) == 3 && fields[0] == "boottime" && (fields[1] != "0" || fields[2] != "0") {
			return errors.New("the process is in a time namespace with a boot clock of its own")
		}
	}
	return nil
}

func capable(bit int) bool {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if unix.Capget(&header, &data[0]) != nil {
		return false
	}
	return data[bit/32].Effective>>(bit%32)&1 == 1
}

// cgroupRoot finds the cgroup2 hierarchy, which may sit beside version 1.
func cgroupRoot() (string, error) {
	f, err := os.Open("/proc/self/mounts")
	if err != nil {
		return "", err
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if fields := strings.Fields(lines.Text()); len(fields) > 2 && fields[2] == "cgroup2" {
			return fields[1], nil
		}
	}
	return "", errors.New("no cgroup2 hierarchy is mounted")
}

// MountPins makes sure that a BPF file system is at dir's root, /sys/fs/bpf.
func MountPins() error {
	const root = "/sys/fs/bpf"
	var fs unix.Statfs_t
	if err := unix.Statfs(root, &fs); err != nil {
		return fmt.Errorf("BPF file system: %w", err)
	}
	if fs.Type == unix.BPF_FS_MAGIC {
		return nil
	}
	if err := unix.Mount("bpf", root, "bpf", 0, "mode=0700"); err != nil {
		return fmt.Errorf("mount the BPF file system: %w", err)
	}
	return nil
}

// netnsCookie is the kernel's name for the network namespace of this process.
func netnsCookie() (uint64, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	cookie, err := unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_NETNS_COOKIE)
	if err != nil {
		return 0, fmt.Errorf("network namespace cookie: %w", err)
	}
	return cookie, nil
}

// BootNow is the clock of the kernel's tables: it counts suspension too.
func BootNow() uint64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		panic("bpf: no boot clock: " + err.Error()) // fails for a bad pointer only
	}
	return uint64(ts.Nano())
}

// BootAt converts a wall time to the boot clock as both stand now. A time that
// has passed before boot is 1: zero is no time.
func BootAt(t time.Time) uint64 {
	ahead := time.Until(t)
	now := BootNow()
	if ahead < 0 && uint64(-ahead) >= now {
		return 1
	}
	return uint64(int64(now) + int64(ahead))
}
