package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/authfi/authfi/backup"
	"github.com/authfi/authfi/cli"
	"github.com/authfi/authfi/node"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// defaults are the settings of a node that is told nothing.
func defaults() node.Config {
	return node.Config{
		Dir: "/var/lib/authfi", NodeID: hostname(), API: "0.0.0.0:443", Peer: hostname() + ":8541", Issuer: "https://" + hostname(),
		Enforce: node.EnforceConfig{Mode: "auto"},
	}
}

// nodeFlags are the settings that init and join write into the data directory. What
// the command line says is said; the rest is the settings file's.
func nodeFlags(cmd *cobra.Command, c *node.Config) (finish func() error) {
	var upstreams []string
	config, d := configFlag(cmd), defaults()
	f := cmd.Flags()
	f.StringVar(&c.Dir, "dir", d.Dir, "data directory")
	f.StringVar(&c.NodeID, "node-id", d.NodeID, "name of this node, unique in the cluster")
	f.StringVar(&c.API, "api", d.API, "address of the HTTPS server")
	f.StringVar(&c.Peer, "peer", d.Peer, "address under which the other nodes reach this one")
	f.StringVar(&c.Issuer, "issuer", d.Issuer, "https://HOST as clients know the cluster")
	f.StringVar(&c.Enforce.Mode, "enforce", d.Enforce.Mode, "auto, kernel or gate")
	f.StringSliceVar(&c.Enforce.Listen, "enforce-listen", nil, "service addresses that belong to this node (default all)")
	f.StringVar(&c.Enforce.Cgroup, "enforce-cgroup", "", "cgroup2 directory of the services (default the root)")
	f.BoolVar(&c.Push.Private, "push-private", false, "let event streams be pushed to addresses of private networks and of this machine")
	f.StringVar(&c.Push.CAFile, "push-ca", "", "PEM file of the CAs of receivers of event streams (default those of the machine)")
	f.StringVar(&c.Certificate.CertFile, "certificate", "", "PEM file of a certificate for the HTTPS server (default one of the cluster's CA)")
	f.StringVar(&c.Certificate.KeyFile, "certificate-key", "", "PEM file of its key")
	f.StringSliceVar(&upstreams, "upstream", nil, "LISTEN=ADDRESS where the user-space gate finds a service")
	f.BoolVar(&c.DevelopmentSignIn, "development-sign-in", false, "let anybody sign in as anybody; for authfi dev")
	f.MarkHidden("development-sign-in")
	return func() error {
		if err := underFlags(cmd, config(), c); err != nil {
			return err
		}
		for _, u := range upstreams {
			listen, address, ok := strings.Cut(u, "=")
			if !ok {
				return fmt.Errorf("%w: --upstream %q is not LISTEN=ADDRESS", cli.ErrUsage, u)
			}
			if c.Enforce.Upstreams == nil {
				c.Enforce.Upstreams = map[string]string{}
			}
			c.Enforce.Upstreams[listen] = address
		}
		return nil
	}
}

// configFlag adds the flag of the settings file; an installed one need not be named.
func configFlag(cmd *cobra.Command) (file func() string) {
	var name string
	cmd.Flags().StringVar(&name, "config", "", "settings file (default "+node.SettingsFile+", if there is one)")
	return func() string {
		if name != "" {
			return name
		}
		if _, err := os.Stat(node.SettingsFile); err != nil {
			return ""
		}
		return node.SettingsFile
	}
}

// underFlags reads a settings file under the flags that were given.
func underFlags(cmd *cobra.Command, file string, c *node.Config) (err error) {
	if file == "" {
		return nil
	}
	var again []func() error
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if list, ok := f.Value.(pflag.SliceValue); ok {
			said := list.GetSlice()
			again = append(again, func() error { return list.Replace(said) })
			return
		}
		said := f.Value.String()
		again = append(again, func() error { return f.Value.Set(said) })
	})
	s := node.Settings{Config: *c}
	if err := s.Read(file); err != nil {
		return fmt.Errorf("%w: %w", cli.ErrUsage, err)
	}
	*c = s.Config
	for _, set := range again {
		err = errors.Join(err, set())
	}
	return err
}

func hostname() string {
	name, err := os.Hostname()
	if err != nil {
		return "localhost"
	}
	return name
}

func initCommand() *cobra.Command {
	var c node.Config
	var quiet bool
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Make the first node of a new cluster and print the operator's token and the recovery key once",
		Args:  exactly(0),
	}
	finish := nodeFlags(cmd, &c)
	cmd.Flags().BoolVar(&quiet, "quiet", false, "print the token alone, and make no recovery key")
	cmd.RunE = func(*cobra.Command, []string) error {
		if err := finish(); err != nil {
			return err
		}
		if quiet { // a key that nobody is shown would make backups that nobody opens
			token, err := node.Init(c, nil)
			if err != nil {
				return err
			}
			fmt.Println(token)
			return nil
		}
		key, err := backup.NewKey()
		if err != nil {
			return err
		}
		public := key.Public()
		token, err := node.Init(c, &public)
		if err != nil {
			return err
		}
		fmt.Printf("The operator's token, shown once:\n\n    %s\n\n", token)
		fmt.Printf("The recovery key %s, shown once. It alone opens backups; keep it off the machines:\n\n    %s\n\n", public.Name(), key)
		fmt.Printf("Start the node with: authfi serve --dir %s\n", c.Dir)
		return nil
	}
	return cmd
}

func joinCommand() *cobra.Command {
	var c node.Config
	var token string
	cmd := &cobra.Command{
		Use:   "join PEER",
		Short: "Make a further node, with a join token, through the peer address of any node",
		Args:  exactly(1),
	}
	finish := nodeFlags(cmd, &c)
	cmd.Flags().StringVar(&token, "token", "", "join token from authfi token create")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := finish(); err != nil {
			return err
		}
		return node.Join(cmd.Context(), c, args[0], token)
	}
	return cmd
}

func recoverCommand() *cobra.Command {
	var dir string
	var force bool
	cmd := &cobra.Command{
		Use:   "recover",
		Short: "After the loss of the quorum: let the stopped node of this directory go on alone",
		Long: "After the loss of the quorum for good: let the node of this directory, which is stopped, go on as the\n" +
			"only member of its cluster. What its log holds counts as decided; what only the others held is lost.\n" +
			"The others are to be erased, and join again as new machines. A copy of the log is kept.",
		Args: exactly(0),
		RunE: func(*cobra.Command, []string) error {
			out, err := node.Recover(dir, force)
			if err != nil {
				return err
			}
			fmt.Printf("This node goes on alone from index %d, term %d. Lost: %s.\n", out.Index, out.Term, strings.Join(out.Lost, ", "))
			fmt.Printf("The log as it was is in %s.\nStart the node with: authfi serve --dir %s\n", out.Copy, dir)
			return nil
		},
	}
	cmd.Flags().StringVar(&dir, "dir", "/var/lib/authfi", "data directory")
	cmd.Flags().BoolVar(&force, "force", false, "although another member answers")
	return cmd
}

func detachCommand() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:   "detach",
		Short: "Take this node's enforcement out of the kernel: its services are open afterwards",
		Args:  exactly(0),
		RunE:  func(*cobra.Command, []string) error { return node.Detach(dir) },
	}
	cmd.Flags().StringVar(&dir, "dir", "/var/lib/authfi", "data directory")
	return cmd
}

func kernelCheckCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "check",
		Short: "Say whether the kernel of this machine can enforce, and why not",
		Args:  exactly(0),
		RunE: func(*cobra.Command, []string) error {
			if err := node.KernelSupported(); err != nil {
				return err
			}
			fmt.Println("the kernel can enforce")
			return nil
		},
	}
}
