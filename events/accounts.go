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

// AccountDeletionRequested: The owner wants the account deleted; it is closing from now on.
type AccountDeletionRequested struct {
	AccountID string `json:"accountId"`
}

func (AccountDeletionRequested) FactType() string  { return "accounts.AccountDeletionRequested.v1" }
func (f AccountDeletionRequested) Key() string     { return f.AccountID }
func (f AccountDeletionRequested) Validate() error { return ids("accountId", f.AccountID) }

// AccountDeleted: Nothing stands against deleting the account, which can still be restored.
type AccountDeleted struct {
	AccountID string `json:"accountId"`
}

func (AccountDeleted) FactType() string  { return "accounts.AccountDeleted.v1" }
func (f AccountDeleted) Key() string     { return f.AccountID }
func (f AccountDeleted) Validate() error { return ids("accountId", f.AccountID) }

// AccountDeletionFailed: Something that is not finished stands against deleting the account.
type AccountDeletionFailed struct {
	AccountID string `json:"accountId"`
	Reason    string `json:"reason"`
}

func (AccountDeletionFailed) FactType() string        { return "accounts.AccountDeletionFailed.v1" }
func (f AccountDeletionFailed) Key() string           { return f.AccountID }
func (f AccountDeletionFailed) Validate() error       { return ids("accountId", f.AccountID) }
func (f AccountDeletionFailed) FailureReason() string { return f.Reason }

// AccountRestored: The deletion could not be done; the account is as it was before.
type AccountRestored struct {
	AccountID string `json:"accountId"`
}

func (AccountRestored) FactType() string  { return "accounts.AccountRestored.v1" }
func (f AccountRestored) Key() string     { return f.AccountID }
func (f AccountRestored) Validate() error { return ids("accountId", f.AccountID) }

// AccountErased: Nothing is left of the person.
type AccountErased struct {
	AccountID string `json:"accountId"`
}

func (AccountErased) FactType() string  { return "accounts.AccountErased.v1" }
func (f AccountErased) Key() string     { return f.AccountID }
func (f AccountErased) Validate() error { return ids("accountId", f.AccountID) }
