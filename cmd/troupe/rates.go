package main

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"

	"troupe/api"
)

// rates are the limits that the configuration names, else ours. In the embedded
// mode clients on this machine are without limit, unless one is named.
func (c *config) rates() (r api.Rates, err error) {
	var errs []error
	for _, x := range []struct {
		into        *api.Rate
		name        string
		given, ours string
	}{
		{&r.SignUp, "TROUPE_RATE_SIGN_UP", c.RateSignUp, "10/1m"},
		{&r.SignIn, "TROUPE_RATE_SIGN_IN", c.RateSignIn, "20/1m"},
		{&r.SendAgain, "TROUPE_RATE_SEND_AGAIN", c.RateSendAgain, "5/10m"},
	} {
		if *x.into, err = api.ParseRate(cmp.Or(x.given, x.ours)); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", x.name, err))
		}
		x.into.Loopback = x.given != "" || !c.Embedded
	}
	for _, p := range c.Proxies {
		prefix, err := netip.ParsePrefix(p)
		if err != nil {
			errs = append(errs, fmt.Errorf("TROUPE_PROXIES: %q is no network: write it like 10.0.0.0/8", p))
		}
		r.Proxies = append(r.Proxies, prefix)
	}
	return r, errors.Join(errs...)
}
