package events

// AccountRegistered: A person signed up; a verification mail is owed.
type AccountRegistered struct {
	AccountID string `json:"accountId"`
	MailID    string `json:"mailId"`
}

func (AccountRegistered) FactType() string  { return "accounts.AccountRegistered.v1" }
func (f AccountRegistered) Key() string     { return f.AccountID }
func (f AccountRegistered) Account() string { return f.AccountID }
func (f AccountRegistered) Mail() string    { return f.MailID }
func (f AccountRegistered) Validate() error { return ids("accountId", f.AccountID, "mailId", f.MailID) }

// VerificationMailRequested: The owner asked for the verification mail again.
type VerificationMailRequested struct {
	AccountID string `json:"accountId"`
	MailID    string `json:"mailId"`
}

func (VerificationMailRequested) FactType() string  { return "accounts.VerificationMailRequested.v1" }
func (f VerificationMailRequested) Key() string     { return f.AccountID }
func (f VerificationMailRequested) Account() string { return f.AccountID }
func (f VerificationMailRequested) Mail() string    { return f.MailID }
func (f VerificationMailRequested) Validate() error {
	return ids("accountId", f.AccountID, "mailId", f.MailID)
}

// VerificationMailSent: The mail server took the verification mail.
type VerificationMailSent struct {
	AccountID string `json:"accountId"`
	MailID    string `json:"mailId"`
}

func (VerificationMailSent) FactType() string { return "accounts.VerificationMailSent.v1" }
func (f VerificationMailSent) Key() string    { return f.AccountID }
func (f VerificationMailSent) Validate() error {
	return ids("accountId", f.AccountID, "mailId", f.MailID)
}

// VerificationMailFailed: The verification mail was refused for good, or given up.
type VerificationMailFailed struct {
	AccountID string `json:"accountId"`
	MailID    string `json:"mailId"`
	Reason    string `json:"reason"`
}

func (VerificationMailFailed) FactType() string { return "accounts.VerificationMailFailed.v1" }
func (f VerificationMailFailed) Key() string    { return f.AccountID }
func (f VerificationMailFailed) Validate() error {
	return ids("accountId", f.AccountID, "mailId", f.MailID)
}
func (f VerificationMailFailed) FailureReason() string { return f.Reason }

// AccountVerified: The token of a verification mail came back.
type AccountVerified struct {
	AccountID string `json:"accountId"`
}

func (AccountVerified) FactType() string  { return "accounts.AccountVerified.v1" }
func (f AccountVerified) Key() string     { return f.AccountID }
func (f AccountVerified) Validate() error { return ids("accountId", f.AccountID) }

// PasswordChanged: The owner set a new password; other sessions ended.
type PasswordChanged struct {
	AccountID string `json:"accountId"`
}

func (PasswordChanged) FactType() string  { return "accounts.PasswordChanged.v1" }
func (f PasswordChanged) Key() string     { return f.AccountID }
func (f PasswordChanged) Validate() error { return ids("accountId", f.AccountID) }
