package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/authfi/authfi/dev"
)

// etcdPrograms are the peer of the cluster benchmark; why says what is missing.
type etcdPrograms struct {
	server, load, version, why string
}

// prepareEtcd builds the server and the program that loads it, from one module.
func prepareEtcd(ctx context.Context) (p etcdPrograms) {
	const server = "go.etcd.io/etcd/server/v3"
	dir := filepath.Join(peersDir, "etcd")
	var err error
	if p.version, err = moduleVersion(ctx, dir, server); err == nil {
		p.server, err = buildOnce(ctx, dir, server, "etcd-"+p.version)
	}
	if err == nil {
		p.load, err = buildCached(ctx, dir, ".", "etcd-load")
	}
	if err != nil {
		p.why = err.Error()
	}
	return p
}

// etcdCluster is three servers.
type etcdCluster struct {
	programs  etcdPrograms
	endpoints []string
	servers   []*exec.Cmd
}

// startEtcd runs them with their defaults, on free ports and the disk of the product,
// with TLS by certificates of their own making.
func startEtcd(ctx context.Context, p etcdPrograms, dir string) (*etcdCluster, error) {
	ports, err := freePorts(2 * dev.Nodes)
	if err != nil {
		return nil, err
	}
	c := &etcdCluster{programs: p}
	var initial []string
	for i := range dev.Nodes {
		c.endpoints = append(c.endpoints, "https://127.0.0.1:"+ports[i])
		initial = append(initial, fmt.Sprintf("e%d=https://127.0.0.1:%s", i+1, ports[dev.Nodes+i]))
	}
	for i := range dev.Nodes {
		data := filepath.Join(dir, fmt.Sprintf("etcd-%d", i+1))
		log, err := os.Create(data + ".log")
		if err != nil {
			return nil, errors.Join(err, c.stop())
		}
		_, peer, _ := strings.Cut(initial[i], "=")
		cmd := exec.Command(p.server, "--name", fmt.Sprintf("e%d", i+1), "--data-dir", data, "--auto-tls", "--peer-auto-tls",
			"--listen-client-urls", c.endpoints[i], "--advertise-client-urls", c.endpoints[i],
			"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", strings.Join(initial, ","))
		cmd.Stdout, cmd.Stderr = log, log
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
		err = cmd.Start()
		log.Close()
		if err != nil {
			return nil, errors.Join(err, c.stop())
		}
		c.servers = append(c.servers, cmd)
	}
	for began := time.Now(); ; time.Sleep(200 * time.Millisecond) {
		_, err := c.run(ctx, "-for", "1ms", "-warm", "1ms")
		if err == nil {
			return c, nil
		}
		if time.Since(began) > requestWait {
			return nil, errors.Join(err, c.stop())
		}
	}
}

func freePorts(count int) (ports []string, err error) {
	for range count {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close() // all are held until the last is found
		_, port, _ := net.SplitHostPort(l.Addr().String())
		ports = append(ports, port)
	}
	return ports, nil
}

func (c *etcdCluster) run(ctx context.Context, args ...string) (float64, error) {
	cmd := exec.CommandContext(ctx, c.programs.load, append([]string{"-endpoints", strings.Join(c.endpoints, ",")}, args...)...)
	out, err := cmd.Output()
	if err != nil {
		return 0, explained(err)
	}
	var said struct{ Rate float64 }
	return said.Rate, json.Unmarshal(out, &said)
}

func (c *etcdCluster) load(ctx context.Context, clients int, reads bool) (float64, error) {
	return c.run(ctx, "-clients", strconv.Itoa(clients), "-reads="+strconv.FormatBool(reads),
		"-keys", strconv.Itoa(durableKeys), "-size", strconv.Itoa(durableValue),
		"-warm", durableWarm.String(), "-for", durableMeasure.String())
}

func (c *etcdCluster) stop() error {
	for _, s := range c.servers {
		s.Process.Kill()
		s.Wait()
	}
	return nil
}
