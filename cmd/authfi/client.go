package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

// call asks the API named by AUTHFI_URL with AUTHFI_TOKEN, trusting AUTHFI_CACERT.
func call(ctx context.Context, method, path string, out any) error {
	base, token := os.Getenv("AUTHFI_URL"), os.Getenv("AUTHFI_TOKEN")
	if base == "" || token == "" {
		return fmt.Errorf("%w: set AUTHFI_URL and AUTHFI_TOKEN (and AUTHFI_CACERT for the cluster's own CA)", errUsage)
	}
	transport, err := trust(os.Getenv("AUTHFI_CACERT"))
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimRight(base, "/")+path, bytes.NewReader(nil))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := (&http.Client{Transport: transport, Timeout: 30 * time.Second}).Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, 16<<20))
	if err != nil {
		return err
	}
	if res.StatusCode/100 != 2 {
		var problem struct{ Code, Detail string }
		if json.Unmarshal(body, &problem) == nil && problem.Code != "" {
			return fmt.Errorf("%s (%s)", problem.Detail, problem.Code)
		}
		return errors.New(res.Status)
	}
	return json.Unmarshal(body, out)
}

func trust(file string) (http.RoundTripper, error) {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	if file == "" {
		return transport, nil
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate", file)
	}
	transport.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	return transport, nil
}

// output prints v as JSON with -o json, otherwise as table says.
func output(cmd *cobra.Command, v any, table func(*tabwriter.Writer)) error {
	format, _ := cmd.Flags().GetString("output")
	switch format {
	case "json":
		encoder := json.NewEncoder(cmd.OutOrStdout())
		encoder.SetIndent("", "  ")
		return encoder.Encode(v)
	case "table":
		w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 4, 2, ' ', 0)
		table(w)
		return w.Flush()
	}
	return fmt.Errorf("%w: -o %q is not table or json", errUsage, format)
}

func outputFlag(cmd *cobra.Command) { cmd.Flags().StringP("output", "o", "table", "table or json") }

type clusterStatus struct {
	NodeID       string `json:"node_id"`
	Leader       string `json:"leader"`
	AppliedIndex uint64 `json:"applied_index"`
	Digest       string `json:"digest"`
	Members      []struct {
		ID      string `json:"id"`
		Address string `json:"address"`
		Voter   bool   `json:"voter"`
		Leader  bool   `json:"leader"`
	} `json:"members"`
}

func statusCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "status", Short: "Show the cluster as one node sees it", Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var s clusterStatus
			if err := call(cmd.Context(), http.MethodGet, "/api/v1/status", &s); err != nil {
				return err
			}
			err := output(cmd, s, func(w *tabwriter.Writer) {
				fmt.Fprintf(w, "node\t%s\nleader\t%s\napplied index\t%d\ndigest\t%s\n", s.NodeID, s.Leader, s.AppliedIndex, s.Digest)
			})
			if err == nil && s.Leader == "" {
				return errors.New("the cluster has no leader")
			}
			return err
		},
	}
	outputFlag(cmd)
	return cmd
}

func membersCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "members", Short: "List the nodes", Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var s clusterStatus
			if err := call(cmd.Context(), http.MethodGet, "/api/v1/status", &s); err != nil {
				return err
			}
			return output(cmd, s.Members, func(w *tabwriter.Writer) {
				fmt.Fprintln(w, "ID\tADDRESS\tVOTER\tLEADER")
				for _, m := range s.Members {
					fmt.Fprintf(w, "%s\t%s\t%t\t%t\n", m.ID, m.Address, m.Voter, m.Leader)
				}
			})
		},
	}
	outputFlag(cmd)
	return cmd
}

func tokenCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "token", Short: "Join tokens"}
	create := &cobra.Command{
		Use: "create", Short: "Make a token with which one node may join within an hour", Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var made struct {
				Token string `json:"token"`
			}
			if err := call(cmd.Context(), http.MethodPost, "/api/v1/join-tokens", &made); err != nil {
				return err
			}
			return output(cmd, made, func(w *tabwriter.Writer) { fmt.Fprintln(w, made.Token) })
		},
	}
	outputFlag(create)
	cmd.AddCommand(create)
	return cmd
}
