package api

import (
	"context"
	"errors"
	"net/http"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"troupe/choreo"
	"troupe/domain/account"
	"troupe/views/accountinfo"
)

// accounts adds sign-up, sign-in, verification and passwords.
func (s *Server) accounts() {
	s.refuses(http.StatusNotFound, account.ErrNotFound, account.ErrUnknownToken)
	s.refuses(http.StatusConflict, account.ErrTaken, account.ErrVerified, account.ErrLeaving)
	s.refuses(http.StatusGone, account.ErrExpiredToken)
	s.refuses(http.StatusUnauthorized, account.ErrSignIn)
	s.refuses(http.StatusForbidden, account.ErrWrongPassword, account.ErrClosing)

	tags := []string{"accounts"}
	register(s, anyone, huma.Operation{
		OperationID: "sign-up", Method: http.MethodPost, Path: "/accounts", Tags: tags,
		Summary: "Sign up", DefaultStatus: http.StatusCreated,
		Description: "The verification mail is sent afterwards; `mail` of the account tells what became of it.",
		Middlewares: s.limited(newLimits(s.Rates.SignUp)), Errors: []int{http.StatusTooManyRequests},
	}, s.signUp)
	register(s, anyone, huma.Operation{
		OperationID: "sign-in", Method: http.MethodPost, Path: "/sessions", Tags: tags,
		Summary: "Sign in", DefaultStatus: http.StatusCreated,
		Middlewares: s.limited(newLimits(s.Rates.SignIn)), Errors: []int{http.StatusTooManyRequests},
	}, s.signIn)
	register(s, accountsAndStaff, huma.Operation{
		OperationID: "get-account", Method: http.MethodGet, Path: "/accounts/{id}", Tags: tags,
		Summary: "Read an account", Responses: behindResponses(s, reflect.TypeFor[accountBody]()),
		Description: "From a view, a moment behind: give `seen` to read what you wrote.",
	}, s.getAccount)
	register(s, accountsOnly, huma.Operation{
		OperationID: "request-verification-mail", Method: http.MethodPost, Path: "/accounts/{id}/verification-mails", Tags: tags,
		Summary: "Send the verification mail again", DefaultStatus: http.StatusAccepted,
		Middlewares: s.limited(newLimits(s.Rates.SendAgain)), Errors: []int{http.StatusTooManyRequests},
	}, s.requestMail)
	register(s, anyone, huma.Operation{
		OperationID: "verify-account", Method: http.MethodPost, Path: "/verifications", Tags: tags,
		Summary: "Verify an account with the token of its mail", DefaultStatus: http.StatusOK,
	}, s.verify)
	register(s, accountsOnly, huma.Operation{
		OperationID: "change-password", Method: http.MethodPut, Path: "/accounts/{id}/password", Tags: tags,
		Summary: "Change the password; other sessions end",
	}, s.changePassword)
	register(s, accountsOnly, huma.Operation{
		OperationID: "delete-account", Method: http.MethodDelete, Path: "/accounts/{id}", Tags: tags,
		Summary: "Delete your account and its projects", DefaultStatus: http.StatusAccepted,
		Description: "It is closing at once. It is erased when nothing stands against that, such as an order under way " +
			"or a project that somebody else works in; otherwise it is as it was before. Once more while it is closing, the answer is the same.",
	}, s.deleteAccount)
}

type accountBody struct {
	AccountID string        `json:"accountId"`
	Email     string        `json:"email"`
	Name      string        `json:"name"`
	State     account.State `json:"state" enum:"unverified,active,closing,erased"`
	Mail      account.Mail  `json:"mail" enum:"pending,sent,failed" doc:"What became of the newest verification mail"`
}

type accountAnswer struct {
	Receipt
	Body accountBody
}

func answerAccount(a *account.Account, r Receipt) *accountAnswer {
	return &accountAnswer{r, accountBody{a.ID, a.Email, a.Name, a.State, a.Mail}}
}

type signUpRequest struct {
	Body struct {
		Email    string `json:"email" example:"ana@example.com"`
		Password string `json:"password" doc:"8 characters to 72 bytes"`
		Name     string `json:"name"`
	}
}

func (s *Server) signUp(ctx context.Context, in *signUpRequest) (*accountAnswer, error) {
	person, err := account.NewPerson(in.Body.Email, in.Body.Name)
	if err = errors.Join(err, account.CheckPassword("password", in.Body.Password)); err != nil {
		return nil, err
	}
	// Many may sign up with one address: the answer says that it is taken, so that
	// sparing them the hash gives nothing away.
	hash, err := s.passwords.Hash(ctx, in.Body.Password, func(ctx context.Context) error { return person.Free(ctx, s.DB.Pool()) })
	if err != nil {
		return nil, err
	}
	var a *account.Account
	return command(ctx, s, "sign-up", func(ctx context.Context, tx *choreo.Tx) (err error) {
		if a, err = account.SignUp(ctx, tx, person, hash); err == nil {
			answerAbout(ctx, a.ID)
		}
		return err
	}, func(_ context.Context, r choreo.Receipt) (*accountAnswer, error) {
		return answerAccount(a, ongoing(r)), nil
	})
}

type signInRequest struct {
	Body struct {
		Email    string `json:"email"`
		Password string `json:"password"`
	}
}

type signInAnswer struct {
	Body struct {
		Token     string    `json:"token" doc:"To be sent as Authorization: Bearer"`
		AccountID string    `json:"accountId"`
		ExpiresAt time.Time `json:"expiresAt"`
	}
}

func (s *Server) signIn(ctx context.Context, in *signInRequest) (*signInAnswer, error) {
	session, err := account.SignIn(ctx, s.DB, s.passwords, s.SessionKey, s.SessionTTL, in.Body.Email, in.Body.Password)
	if err != nil {
		return nil, err
	}
	out := &signInAnswer{}
	out.Body.Token, out.Body.AccountID, out.Body.ExpiresAt = session.Token, session.AccountID, session.ExpiresAt
	return out, nil
}

type accountRequest struct {
	ID string `path:"id"`
}

type accountReading struct {
	ViewRequest

	ID string `path:"id"`
}

// getAccount reads the view of an account, with what is personal from the
// account.
func (s *Server) getAccount(ctx context.Context, in *accountReading) (*viewAnswer[accountBody], error) {
	if !caller(ctx).mayRead(in.ID) {
		return nil, errNotFound
	}
	status, err := s.seen(ctx, accountinfo.Name, in.ID, in.ViewRequest)
	if err != nil {
		return nil, err
	}
	a, err := account.Get(ctx, s.DB.Pool(), in.ID)
	if err != nil {
		return nil, err
	}
	v, err := fresh(ctx, s, in.ID, accountinfo.Find)
	if err != nil {
		return nil, err
	}
	if v == nil {
		return answerPending[accountBody](in.ID, string(a.State)), nil
	}
	return &viewAnswer[accountBody]{status, viewBody[accountBody]{thing: accountBody{
		AccountID: v.AccountID, Email: a.Email, Name: a.Name, State: account.State(v.State), Mail: account.Mail(v.Mail),
	}}}, nil
}

func (s *Server) requestMail(ctx context.Context, in *accountRequest) (*accountAnswer, error) {
	if caller(ctx).AccountID != in.ID {
		return nil, errNotFound
	}
	return s.changeAccount(ctx, "request-verification-mail", in.ID, ongoing,
		func(_ context.Context, tx *choreo.Tx, a *account.Account) error { return a.RequestMail(tx) })
}

type verificationRequest struct {
	Body struct {
		Token string `json:"token" doc:"As it stands in the mail"`
	}
}

func (s *Server) verify(ctx context.Context, in *verificationRequest) (*accountAnswer, error) {
	var a *account.Account
	return command(ctx, s, "verify-account", func(ctx context.Context, tx *choreo.Tx) error {
		loaded, expires, err := account.LoadByToken(ctx, tx, s.TokenKey, in.Body.Token)
		if err != nil {
			return err
		}
		a = loaded
		if err := a.Verify(tx.Now(), expires); err != nil {
			return err
		}
		return a.Save(ctx, tx)
	}, func(_ context.Context, r choreo.Receipt) (*accountAnswer, error) {
		return answerAccount(a, settled(r)), nil
	})
}

type passwordRequest struct {
	ID   string `path:"id"`
	Body struct {
		Current string `json:"current"`
		New     string `json:"new" doc:"8 characters to 72 bytes"`
	}
}

func (s *Server) changePassword(ctx context.Context, in *passwordRequest) (*accountAnswer, error) {
	if caller(ctx).AccountID != in.ID {
		return nil, errNotFound
	}
	if err := account.CheckPassword("new", in.Body.New); err != nil {
		return nil, err
	}
	before, err := account.Get(ctx, s.DB.Pool(), in.ID)
	if err != nil {
		return nil, err
	}
	if ok, err := s.passwords.Match(ctx, before.PasswordHash(), in.Body.Current); err != nil {
		return nil, err
	} else if !ok {
		return nil, account.ErrWrongPassword
	}
	hash, err := s.passwords.Hash(ctx, in.Body.New, nil)
	if err != nil {
		return nil, err
	}
	return s.changeAccount(ctx, "change-password", in.ID, settled,
		func(ctx context.Context, tx *choreo.Tx, a *account.Account) error {
			if err := a.ChangePassword(before.PasswordHash(), hash); err != nil {
				return err
			}
			return a.EndOtherSessions(ctx, tx, caller(ctx).session)
		})
}

func (s *Server) deleteAccount(ctx context.Context, in *accountRequest) (*accountAnswer, error) {
	if caller(ctx).AccountID != in.ID {
		return nil, errNotFound
	}
	var saga string
	return s.changeAccount(ctx, "request-account-deletion", in.ID,
		func(r choreo.Receipt) Receipt { return joined(r, saga) },
		func(_ context.Context, tx *choreo.Tx, a *account.Account) (err error) {
			saga, err = a.RequestDeletion(tx)
			return err
		})
}

// changeAccount is a command on one account: locked, changed and saved.
func (s *Server) changeAccount(ctx context.Context, name, id string, receipt func(choreo.Receipt) Receipt,
	change func(context.Context, *choreo.Tx, *account.Account) error) (*accountAnswer, error) {
	var a *account.Account
	return command(ctx, s, name, func(ctx context.Context, tx *choreo.Tx) (err error) {
		if a, err = account.Load(ctx, tx, id); err != nil {
			return err
		}
		if err := change(ctx, tx, a); err != nil {
			return err
		}
		return a.Save(ctx, tx)
	}, func(_ context.Context, r choreo.Receipt) (*accountAnswer, error) {
		return answerAccount(a, receipt(r)), nil
	})
}
