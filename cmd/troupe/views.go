package main

import (
	"errors"
	"net"
	"slices"

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
