package chaos

import (
	"context"
	"fmt"
	"math"
	"os"
	"os/exec"
	"strings"
)

// network is a bridge of this machine with a network namespace for each node, so that
// what happens between two of them can be chosen. It is made with iproute2 alone.
type network struct {
	prefix string // of the names of links and namespaces; 15 bytes are a link's most
	subnet string // its first three bytes
	delays bool   // the kernel has netem; otherwise a slow link takes its place
	drops  [Nodes][Nodes]float64
}

// slowLink is what stands in for netem: packets queue, and so come late.
const slowLink = "tbf rate 2mbit burst 16kb latency 400ms"

// newNetwork makes it; close removes it again.
func newNetwork(ctx context.Context) (n *network, err error) {
	pid := os.Getpid()
	n = &network{prefix: fmt.Sprintf("af%d", pid), subnet: fmt.Sprintf("10.%d.%d", 100+pid/256%100, pid%256)}
	defer func() {
		if err != nil {
			n.close()
		}
	}()
	if err := command(ctx,
		"ip link add "+n.bridge()+" type bridge",
		"ip addr add "+n.subnet+".254/24 dev "+n.bridge(),
		"ip link set "+n.bridge()+" up",
	); err != nil {
		return n, err
	}
	for i := range Nodes {
		if err := command(ctx,
			"ip netns add "+n.namespace(i),
			"ip link add "+n.link(i)+" type veth peer name eth0 netns "+n.namespace(i),
			"ip link set "+n.link(i)+" master "+n.bridge()+" up",
			"ip -n "+n.namespace(i)+" addr add "+n.address(i)+"/24 dev eth0",
			"ip -n "+n.namespace(i)+" link set eth0 up",
			"ip -n "+n.namespace(i)+" link set lo up",
			"tc qdisc add dev "+n.link(i)+" clsact",
		); err != nil {
			return n, err
		}
	}
	if command(ctx, "tc qdisc add dev "+n.link(0)+" root netem delay 1ms") == nil {
		n.delays = true
		return n, command(ctx, "tc qdisc del dev "+n.link(0)+" root")
	}
	return n, nil
}

func (n *network) bridge() string         { return n.prefix + "b" }
func (n *network) link(i int) string      { return fmt.Sprintf("%sv%d", n.prefix, i+1) }
func (n *network) namespace(i int) string { return fmt.Sprintf("%sn%d", n.prefix, i+1) }
func (n *network) address(i int) string   { return fmt.Sprintf("%s.%d", n.subnet, i+1) }

// in runs a program inside a node's namespace. The mounts stay this machine's: with a
// copy of them of its own, each node would hold the disks of the others.
func (n *network) in(i int, program string, args ...string) *exec.Cmd {
	return exec.Command("nsenter", append([]string{"--net=/run/netns/" + n.namespace(i), program}, args...)...)
}

// drop loses a share of what one node sends to another, 1 for all of it.
func (n *network) drop(ctx context.Context, from, to int, share float64) error {
	n.drops[from][to] = share
	return n.filter(ctx, from)
}

// slow delays what reaches a node, or no more.
func (n *network) slow(ctx context.Context, to int, slowed bool) error {
	if !slowed {
		return command(ctx, "tc qdisc del dev "+n.link(to)+" root")
	}
	if n.delays {
		return command(ctx, "tc qdisc add dev "+n.link(to)+" root netem delay 40ms 30ms")
	}
	return command(ctx, "tc qdisc add dev "+n.link(to)+" root "+slowLink)
}

// heal ends every drop.
func (n *network) heal(ctx context.Context) error {
	n.drops = [Nodes][Nodes]float64{}
	for i := range Nodes {
		if err := n.filter(ctx, i); err != nil {
			return err
		}
	}
	return nil
}

// filter puts the drops of what a node sends at its end of the bridge, as a classic
// BPF program: nft may not be installed, and iptables does not see bridged packets.
func (n *network) filter(ctx context.Context, from int) error {
	link := n.link(from)
	if err := command(ctx, "tc filter del dev "+link+" ingress"); err != nil {
		return err
	}
	var program []string
	for to, share := range n.drops[from] {
		if share > 0 {
			program = append(program, dropTo(n.subnet, byte(to+1), share)...)
		}
	}
	if len(program) == 0 {
		return nil
	}
	program = append(program, "6 0 0 4294967295") // go on
	code := fmt.Sprintf("%d,%s", len(program), strings.Join(program, ","))
	return run(ctx, "tc", "filter", "add", "dev", link, "ingress", "bpf", "da", "bytecode", code)
}

// dropTo returns 2, which drops, for a share of the packets to an IPv4 address. ARP
// has other bytes in the place of the address and passes.
func dropTo(subnet string, host byte, share float64) []string {
	var a, b, c uint32
	fmt.Sscanf(subnet, "%d.%d.%d", &a, &b, &c)
	address := a<<24 | b<<16 | c<<8 | uint32(host)
	if share >= 1 {
		return []string{
			"32 0 0 30",                       // the destination of the packet
			fmt.Sprintf("21 0 1 %d", address), // another: the next rule
			"6 0 0 2",
		}
	}
	return []string{
		"32 0 0 30",
		fmt.Sprintf("21 0 3 %d", address),
		"32 0 0 4294963256", // a random number
		fmt.Sprintf("53 1 0 %d", uint32(share*math.MaxUint32)), // as large: the next rule
		"6 0 0 2",
	}
}

func (n *network) close() {
	ctx := context.Background()
	for i := range Nodes {
		command(ctx, "ip netns del "+n.namespace(i))
		command(ctx, "ip link del "+n.link(i)) // gone with the namespace, unless it was not moved
	}
	command(ctx, "ip link del "+n.bridge())
}

// command runs command lines whose words have no blanks, until one fails.
func command(ctx context.Context, lines ...string) error {
	for _, line := range lines {
		words := strings.Fields(line)
		if err := run(ctx, words[0], words[1:]...); err != nil {
			return err
		}
	}
	return nil
}

func run(ctx context.Context, program string, args ...string) error {
	said, err := exec.CommandContext(ctx, program, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w: %s", program, strings.Join(args, " "), err, strings.TrimSpace(string(said)))
	}
	return nil
}
