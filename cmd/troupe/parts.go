package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"troupe/handlers"
	"troupe/sandbox"
)

// part makes a command that runs one part alone. needs are the variables that
// must be set, flags what else may be given as a flag. With the flag up, it finds
// what is not set in the data folder of a `troupe up`.
func part(use, short, long string, needs, flags []string, run func(context.Context, *config, []string) error) (*cobra.Command, error) {
	c, err := readConfig(config{HTTP: "127.0.0.1:8080", Connections: 10})
	if err != nil {
		return nil, err
	}
	cmd := &cobra.Command{Use: use, Short: short, Long: long, Args: noArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			leave := func() error { return nil }
			if cmd.Flags().Lookup("up") != nil {
				if leave, err = c.enter(cmd.Context()); err != nil {
					return err
				}
			}
			if err := c.require(needs...); err != nil {
				return errors.Join(usageError{err}, leave())
			}
			return errors.Join(run(cmd.Context(), c, args), leave())
		}}
	flags = append(slices.Clip(flags), "log-level", "log-format")
	if slices.Contains(needs, "TROUPE_DATABASE_URL") {
		flags = append(flags, "database-direct-url", "views-database-url")
	}
	if slices.Contains(flags, "up") { // emit --data and steps edit --data are something else
		flags = append(flags, "database-url", "postgres")
		cmd.Flags().StringVar(&c.Data, "up", c.Data, "data folder of a 'troupe up', running or not: what is not set is found there ($TROUPE_DATA)")
	}
	c.flags(cmd.Flags(), slices.Concat(needs, flags)...)
	return cmd, nil
}

var (
	needsDatabase = []string{"TROUPE_DATABASE_URL"}
	needsBoth     = []string{"TROUPE_DATABASE_URL", "TROUPE_KAFKA_BROKERS"}
	needsOutside  = append(needsBoth[:2:2], "TROUPE_TOKEN_KEY", "TROUPE_CARD_KEY", "TROUPE_SMTP_URL",
		"TROUPE_PAYMENT_URL", "TROUPE_PAYMENT_KEY", "TROUPE_CARRIER_URL", "TROUPE_SMS_URL", "TROUPE_BLOBS_URL")
)

func apiCommand() (*cobra.Command, error) {
	return part("api", "Serve the HTTP API alone", "",
		append(needsDatabase[:1:1], "TROUPE_TOKEN_KEY", "TROUPE_SESSION_KEY", "TROUPE_CARD_KEY", "TROUPE_STAFF_TOKEN", "TROUPE_BLOBS_URL"),
		[]string{"http", "connections", "blobs-url", "max-event-bytes", "max-attachment-bytes", "rate-sign-up", "rate-sign-in", "rate-send-again", "proxies"},
		func(ctx context.Context, c *config, _ []string) error {
			return withDB(ctx, c, func(a *app) error {
				server, err := a.api(a.databaseReady, nil)
				if err != nil {
					return err
				}
				g, ctx := errgroup.WithContext(ctx)
				g.Go(func() error { return listenAndServe(ctx, c, server.HTTPServer()) })
				g.Go(func() error { return a.runSchedule(ctx, server) })
				return g.Wait()
			})
		})
}

func relayCommand() (*cobra.Command, error) {
	return part("relay", "Take committed facts to Kafka", "Also keeps the lists of sagas. One relay is active per database; more stand by.",
		needsBoth, []string{"http", "connections", "brokers", "prefix", "log-retention"},
		func(ctx context.Context, c *config, _ []string) error {
			return withDB(ctx, c, func(a *app) error {
				a.measure()
				g, ctx := errgroup.WithContext(ctx)
				g.Go(func() error { return a.runRelay(ctx) })
				g.Go(func() error { return a.runSagas(ctx) })
				g.Go(func() error { return listenAndServe(ctx, c, a.health(a.databaseReady)) })
				return g.Wait()
			})
		})
}

func runCommand() (*cobra.Command, error) {
	flow, err := handlers.Flow(handlers.Outside{})
	if err != nil {
		return nil, err
	}
	var names []string
	for _, c := range flow.Consumers() {
		names = append(names, c.Name)
	}
	for _, v := range flow.Views() {
		if v.Pulls != nil {
			names = append(names, v.Name)
		}
	}
	cmd, err := part("run CONSUMER…", "Run consumers alone", "Run one consumer, or several, in this process:\n  "+strings.Join(names, "\n  "),
		needsOutside, []string{"http", "connections", "brokers", "prefix", "instance", "api-url", "staff-token", "mail-from", "forbidden-tags", "blobs-fail-corrupt", "max-event-bytes"},
		func(ctx context.Context, c *config, args []string) error {
			return withDB(ctx, c, func(a *app) error {
				p, err := a.consumers(args)
				if err != nil {
					return err
				}
				readers, err := a.readers(args, c.APIURL)
				if err != nil {
					return err
				}
				g, ctx := errgroup.WithContext(ctx)
				g.Go(func() error { return a.runConsumers(ctx, p) })
				for _, r := range readers {
					g.Go(func() error { return r.Run(ctx) })
				}
				g.Go(func() error {
					return listenAndServe(ctx, c, a.health(func(ctx context.Context) error {
						return errors.Join(p.Ready(), a.databaseReady(ctx))
					}))
				})
				return g.Wait()
			})
		})
	if err != nil {
		return nil, err
	}
	cmd.ValidArgs = names
	cmd.Args = func(_ *cobra.Command, args []string) error {
		if len(args) == 0 {
			return usageError{errors.New("name at least one consumer; `troupe run --help` lists them")}
		}
		return nil
	}
	return cmd, nil
}

func sandboxCommand() (*cobra.Command, error) {
	return part("sandbox", "Play the world outside: mail, payments, the carrier and SMS",
		"A server that speaks the real protocols (SMTP, the Stripe calls used, plain HTTP under /carrier\nand /sms), remembers what it received and fails on demand. For development and tests.",
		append(needsDatabase[:1:1], "TROUPE_STAFF_TOKEN"),
		[]string{"sandbox-http", "sandbox-smtp", "sandbox-delay", "connections", "payment-key"},
		func(ctx context.Context, c *config, _ []string) error {
			url, err := databaseURL(c.DatabaseURL)
			if err != nil {
				return err
			}
			pool, err := openPool(ctx, url, c.Connections)
			if err != nil {
				return err
			}
			defer pool.Close() //nolint:errcheck // we are ending
			s, err := sandbox.Start(ctx, sandbox.Options{
				Database: pool, SMTPAddr: c.SandboxSMTP, HTTPAddr: c.SandboxHTTP, StaffToken: c.StaffToken,
				PaymentKey: c.PaymentKey, Delay: c.SandboxDelay, Log: c.logger(),
			})
			if err != nil {
				return err
			}
			fmt.Fprintf(os.Stderr, "sandbox: payments http://%[1]s, carrier http://%[1]s/carrier, SMS http://%[1]s/sms, mail smtp://%[2]s\n", s.HTTPAddr(), s.SMTPAddr())
			<-ctx.Done()
			return closeWithin(time.Second, s.Close)
		})
}

func migrateCommand() (*cobra.Command, error) {
	return part("migrate", "Bring the database to this version", "", needsDatabase, []string{"rooms", "up"},
		func(ctx context.Context, c *config, _ []string) error {
			a, err := openApp(ctx, c)
			if err != nil {
				return err
			}
			return errors.Join(a.migrate(ctx), a.close())
		})
}

func healthCommand() (*cobra.Command, error) {
	return part("health", "Ask the part on --http whether it is ready", "For health checks of containers: exit code 0 when it is ready.", nil, []string{"http"},
		func(ctx context.Context, c *config, _ []string) error {
			host, port, err := net.SplitHostPort(c.HTTP)
			if err != nil {
				return usageError{fmt.Errorf("--http: %w", err)}
			}
			if host == "" || host == "0.0.0.0" || host == "::" {
				host = "127.0.0.1"
			}
			ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
			defer cancel()
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(host, port)+"/readyz", nil)
			if err != nil {
				return err
			}
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				return err
			}
			defer res.Body.Close()
			if res.StatusCode != http.StatusOK {
				return fmt.Errorf("not ready: %s", res.Status)
			}
			return nil
		})
}

// withDB opens an app over a migrated database for the time of run.
func withDB(ctx context.Context, c *config, run func(*app) error) error {
	a, err := openApp(ctx, c)
	if err != nil {
		return err
	}
	if err := a.openDB(ctx); err != nil {
		return errors.Join(err, a.close())
	}
	return errors.Join(run(a), a.close())
}

func listenAndServe(ctx context.Context, c *config, s *http.Server) error {
	l, err := net.Listen("tcp", c.HTTP)
	if err != nil {
		return fmt.Errorf("listening on %s (choose another with --http): %w", c.HTTP, err)
	}
	return serve(ctx, s, l)
}

func closeWithin(d time.Duration, closeFn func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	return closeFn(ctx)
}
