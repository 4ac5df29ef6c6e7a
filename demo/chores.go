package demo

import (
	"context"
	"net/http"
	"slices"
	"strings"
)

// chore has somebody see to their account: ask for the verification mail again,
// or verify the address and change the password.
func (c *crew) chore(ctx context.Context, p chorePlan) error {
	who := c.people[p.person]
	path := "/accounts/" + who.id
	if !p.verify {
		a, err := c.command(ctx, "send mail again", post(path+"/verification-mails", who.token, nil).keyed(), nil, http.StatusAccepted)
		if err == nil {
			c.remember(a, "asked for again")
		}
		return err
	}
	token, err := c.mailedToken(ctx, who)
	if err != nil {
		return err
	}
	if token != "" {
		// 409: a try whose answer was lost did it.
		_, err := c.command(ctx, "verify", post("/verifications", "", map[string]string{"token": token}).repeatable(), nil, http.StatusOK, http.StatusConflict)
		if err != nil {
			return err
		}
	}
	change := put(path+"/password", who.token, map[string]string{"current": password, "new": password + " staple"})
	_, err = c.command(ctx, "change password", change, nil, http.StatusOK)
	return err
}

// mailedToken waits for the verification mail and takes the token out of it; empty
// where it does not come in time.
func (c *crew) mailedToken(ctx context.Context, who person) (token string, err error) {
	err = c.until(ctx, "/accounts/"+who.id, who, func(a moving) bool { return a.Mail == "sent" })
	if err != nil {
		return "", err
	}
	letters, err := c.letters(ctx)
	if err != nil {
		return "", err
	}
	at := slices.IndexFunc(letters, func(l letter) bool { return l.To == who.email && l.Kind == "verification" && l.Status == "succeeded" })
	if at < 0 {
		return "", nil
	}
	for line := range strings.SplitSeq(letters[at].Text, "\n") {
		if line = strings.TrimSpace(line); len(line) == tokenLength && !strings.Contains(line, " ") {
			return line, nil
		}
	}
	return "", nil
}

// tokenLength is that of a verification token, which has a line of its mail to
// itself.
const tokenLength = 64
