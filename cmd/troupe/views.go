package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"troupe/choreo/pull"
	"troupe/choreo/view"
	"troupe/handlers"
)

// readers prepares the views of these names that pull their events, all of them
// without one, from the API at the URL.
func (a *app) readers(names []string, apiURL string) (readers []*pull.Reader, err error) {
	for _, v := range a.flow.Views() {
		if v.Pulls == nil || len(names) > 0 && !slices.Contains(names, v.Name) {
			continue
		}
		if apiURL == "" || a.config.StaffToken == "" {
			return nil, usageError{errors.New(v.Name + " pulls events from the API: set TROUPE_API_URL and TROUPE_STAFF_TOKEN")}
		}
		r := view.Reader(a.db, v, &pull.Client{URL: apiURL, Token: a.config.StaffToken})
		r.Log = a.log
		readers = append(readers, r)
	}
	return readers, nil
}

// loopback is the URL at which this process reaches its own listener.
func loopback(addr net.Addr) string {
	tcp, ok := addr.(*net.TCPAddr)
	if ok && tcp.IP.IsUnspecified() {
		addr = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: tcp.Port}
	}
	return "http://" + addr.String()
}

func viewsCommand() (*cobra.Command, error) {
	execute := false
	rebuild, err := part("rebuild NAME", "Build a view anew from the log, beside the live one, and swap",
		"The live view goes on being read and fed meanwhile, and readers see the one or the other.\nKilled half-way it can be run again.",
		needsDatabase, nil,
		func(ctx context.Context, c *config, args []string) error {
			return withDB(ctx, c, func(a *app) error { return a.rebuild(ctx, args[0], execute) })
		})
	if err != nil {
		return nil, err
	}
	flow, err := handlers.Flow(handlers.Outside{})
	if err != nil {
		return nil, err
	}
	for _, v := range flow.Views() {
		rebuild.ValidArgs = append(rebuild.ValidArgs, v.Name)
	}
	rebuild.Args = func(c *cobra.Command, args []string) error {
		if len(args) != 1 {
			return usageError{fmt.Errorf("%s takes one view: %s", c.CommandPath(), strings.Join(rebuild.ValidArgs, ", "))}
		}
		return nil
	}
	rebuild.Flags().BoolVar(&execute, "execute", false, "do it; without this nothing is changed")
	views := &cobra.Command{Use: "views", Short: "What is read: tables that projections fill from facts"}
	views.AddCommand(rebuild)
	return views, nil
}

// rebuild rebuilds a view, or tells what that would be.
func (a *app) rebuild(ctx context.Context, name string, execute bool) error {
	v := a.flow.View(name)
	if v == nil {
		return usageError{fmt.Errorf("there is no view %q; `troupe views rebuild --help` lists them", name)}
	}
	head, err := a.db.LogHead(ctx)
	if err != nil {
		return err
	}
	topics := strings.Join(v.Topics(), " and ")
	if !execute {
		fmt.Printf("The view %s would be built anew from the facts of %s among the %d events of the log.\n", name, topics, head)
		return notExecuted()
	}
	began, last := time.Now(), time.Now()
	terminal := isTerminal(os.Stderr)
	err = view.Rebuild(ctx, a.db, v, func(events int64) {
		if terminal && time.Since(last) > 200*time.Millisecond {
			last = time.Now()
			fmt.Fprintf(os.Stderr, "\r%s: %d events of %s", name, events, topics)
		}
	})
	if terminal {
		fmt.Fprint(os.Stderr, "\r\033[K")
	}
	if err != nil {
		return err
	}
	fmt.Printf("The view %s was built anew from the facts of %s and is live (%.1f s).\n", name, topics, time.Since(began).Seconds())
	return nil
}

func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
