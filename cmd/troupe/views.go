package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"troupe/choreo/pull"
	"troupe/choreo/view"
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
	return group("views", "What is read: tables that projections fill from facts", viewsRebuild)
}

func viewsRebuild() (*cobra.Command, error) {
	execute := false
	rebuild, err := operatorCommand("rebuild NAME", "Build a view anew from the log, beside the live one, and swap",
		"The live view goes on being read and fed meanwhile, and readers see the one or the other.\nKilled half-way it can be run again.",
		1, needsDatabase, nil, func(ctx context.Context, a *app, to *answer, args []string) error {
			return a.rebuild(ctx, to, args[0], execute)
		})
	if err != nil {
		return nil, err
	}
	flow, err := theFlow()
	if err != nil {
		return nil, err
	}
	for _, v := range flow.Views() {
		rebuild.ValidArgs = append(rebuild.ValidArgs, v.Name)
	}
	rebuild.Long += "\nViews: " + strings.Join(rebuild.ValidArgs, ", ") + "."
	rebuild.Flags().BoolVar(&execute, "execute", false, "do it; without this nothing is changed")
	return rebuild, nil
}

// rebuilt is what came of rebuilding a view, or would.
type rebuilt struct {
	View     string   `json:"view"`
	Topics   []string `json:"topics"`
	Log      int64    `json:"log"`    // events in the log
	Events   int64    `json:"events"` // taken into the view
	Seconds  float64  `json:"seconds"`
	Executed bool     `json:"executed"`
}

// rebuild rebuilds a view, or tells what that would be.
func (a *app) rebuild(ctx context.Context, to *answer, name string, execute bool) error {
	v := a.flow.View(name)
	if v == nil {
		return usageError{fmt.Errorf("there is no view %q; `troupe views rebuild --help` lists them", name)}
	}
	head, err := a.db.LogHead(ctx)
	if err != nil {
		return err
	}
	did := rebuilt{View: name, Topics: v.Topics(), Log: head, Executed: execute}
	topics := strings.Join(did.Topics, " and ")
	if !execute {
		return to.give(did, func(w io.Writer) {
			fmt.Fprintf(w, "The view %s would be built anew from the facts of %s among the %d events of the log.\n", name, topics, head)
			dry(w)
		})
	}
	began := time.Now()
	did.Events, err = view.Rebuild(ctx, a.db, v, func(events int64) { progress("%s: %d events of %s", name, events, topics) })
	if progress(""); err != nil {
		return err
	}
	did.Seconds = time.Since(began).Seconds()
	return to.give(did, func(w io.Writer) {
		fmt.Fprintf(w, "The view %s was built anew from %d facts of %s and is live (%.1f s).\n", name, did.Events, topics, did.Seconds)
	})
}
