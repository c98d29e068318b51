package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// postgresUser owns the database's processes and files when we are root, whom
// Postgres refuses to serve. Debian's package makes it.
const postgresUser = "postgres"

// superuser is the role in the database; it listens on this machine alone and in
// a directory that ends with the run, so it asks for no password.
const superuser = "bench"

// postgres is a database server of its own.
type postgres struct {
	programs   string
	dir        string
	address    string
	credential *syscall.Credential // nil: ours
	process    *process
}

// startPostgres makes an empty server. Its settings are those that both engines
// ask for, with memory enough that no page of the directory is read twice.
func startPostgres(ctx context.Context, programs, logs string) (p *postgres, err error) {
	p = &postgres{programs: programs}
	defer func() {
		if err != nil {
			p.stop()
		}
	}()
	if p.credential, err = unprivileged(); err != nil {
		return p, err
	}
	if p.dir, err = os.MkdirTemp("", "authfi-bench-postgres-"); err != nil {
		return p, err
	}
	if p.credential != nil {
		if err := os.Chown(p.dir, int(p.credential.Uid), int(p.credential.Gid)); err != nil {
			return p, err
		}
	}
	data := filepath.Join(p.dir, "data")
	if err := finish(p.command(ctx, "initdb", "--pgdata", data, "--username", superuser, "--auth", "trust", "--encoding", "UTF8", "--no-sync")); err != nil {
		return p, err
	}
	if p.address, err = freeAddress(); err != nil {
		return p, err
	}
	host, port, err := net.SplitHostPort(p.address)
	if err != nil {
		return p, err
	}
	server := p.command(context.WithoutCancel(ctx), "postgres", "-D", data,
		"-c", "listen_addresses="+host, "-c", "port="+port, "-c", "unix_socket_directories="+p.dir,
		"-c", "shared_buffers=1GB", "-c", "max_connections=120", "-c", "track_commit_timestamp=on")
	if p.process, err = spawn(filepath.Join(logs, "postgres.log"), server); err != nil {
		return p, err
	}
	return p, p.process.await(ctx, func(ctx context.Context) error { return p.query(ctx, "postgres", "select 1") })
}

// unprivileged is who runs the database; nil when that is who runs us.
func unprivileged() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup(postgresUser)
	if err != nil {
		return nil, err
	}
	uid, uidErr := strconv.ParseUint(u.Uid, 10, 32)
	gid, gidErr := strconv.ParseUint(u.Gid, 10, 32)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, errors.Join(uidErr, gidErr)
}

// command runs where its user may be: the directory of a caller who is root often
// is not such a place.
func (p *postgres) command(ctx context.Context, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(p.programs, program), args...)
	cmd.Dir = p.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: p.credential}
	return cmd
}

// query runs one statement.
func (p *postgres) query(ctx context.Context, database, statement string) error {
	host, port, err := net.SplitHostPort(p.address)
	if err != nil {
		return err
	}
	return finish(p.command(ctx, "psql", "--no-psqlrc", "--quiet", "--host", host, "--port", port,
		"--username", superuser, "--dbname", database, "--command", statement))
}

// create makes a database and gives its address.
func (p *postgres) create(ctx context.Context, database string) (uri string, err error) {
	err = p.query(ctx, "postgres", "create database "+database)
	return fmt.Sprintf("postgres://%s@%s/%s?sslmode=disable", superuser, p.address, database), err
}

// settle gives the planner its statistics: without them the first minute after a
// load is several times slower.
func (p *postgres) settle(ctx context.Context, database string) error {
	return p.query(ctx, database, "vacuum analyze")
}

func (p *postgres) pid() int { return p.process.cmd.Process.Pid }

// stop ends the server at once (SIGQUIT): nobody needs its data any more.
func (p *postgres) stop() {
	if p.process != nil {
		p.process.stop(syscall.SIGQUIT)
	}
	if p.dir != "" {
		os.RemoveAll(p.dir)
	}
}
