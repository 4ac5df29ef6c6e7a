// Package library is a domain of its own over the engine, with everything that the
// engine has: a library lends books. A loan is asked for; its reader is checked in
// the command's own transaction; a copy is reserved and a deposit taken beside each
// other; both together have the book handed out; a day later the reader is
// reminded. Where there is no copy or no money, and where a loan is called off, all
// of it is taken back. The publisher tells of books that may not be lent any more.
package library

// LoanAsked is a domain fact: it stays inside its command's transaction.
type LoanAsked struct {
	LoanID string `json:"loanId"`
	Reader string `json:"reader"`
	Book   string `json:"book"`
}

// LoanRequested: a reader who may wants a book.
type LoanRequested struct {
	LoanID string `json:"loanId"`
	Reader string `json:"reader"`
	Book   string `json:"book"`
}

// ReaderBarred: they owe us books. It rolls the command back, and is published
// nowhere.
type ReaderBarred struct {
	LoanID string `json:"loanId"`
	Reason string `json:"reason"`
}

// CopyReserved: one of the book's copies is kept for the loan.
type CopyReserved struct {
	LoanID string `json:"loanId"`
	Book   string `json:"book"`
}

// NoCopyLeft: all are lent.
type NoCopyLeft struct {
	LoanID string `json:"loanId"`
}

// DepositTaken: the bank has put the deposit aside.
type DepositTaken struct {
	LoanID string `json:"loanId"`
	Book   string `json:"book"`
}

// DepositRefused: the bank will not, or has not answered for a day.
type DepositRefused struct {
	LoanID string `json:"loanId"`
	Reason string `json:"reason"`
}

// BookHandedOut: the reader has it.
type BookHandedOut struct {
	LoanID string `json:"loanId"`
	Book   string `json:"book"`
}

// ReaderReminded: they were asked to bring it back.
type ReaderReminded struct {
	LoanID string `json:"loanId"`
}

// LoanCanceled: nothing comes of it, or nothing any more.
type LoanCanceled struct {
	LoanID string `json:"loanId"`
	Book   string `json:"book"`
}

// CopyReturned: the copy that was kept may be lent again.
type CopyReturned struct {
	LoanID string `json:"loanId"`
}

// DepositPaidBack: the bank holds nothing of it any more.
type DepositPaidBack struct {
	LoanID string `json:"loanId"`
}

// PayBackFailed: the deposit is owed.
type PayBackFailed struct {
	LoanID string `json:"loanId"`
	Reason string `json:"reason"`
}

// BookWithdrawn is the publisher's: the book may not be lent any more.
type BookWithdrawn struct {
	Book string `json:"book"`
}

// BookBlocked: we lend it no more.
type BookBlocked struct {
	Book string `json:"book"`
}

func (LoanAsked) FactType() string       { return "loans.LoanAsked.v1" }
func (LoanRequested) FactType() string   { return "loans.LoanRequested.v1" }
func (ReaderBarred) FactType() string    { return "loans.ReaderBarred.v1" }
func (CopyReserved) FactType() string    { return "loans.CopyReserved.v1" }
func (NoCopyLeft) FactType() string      { return "loans.NoCopyLeft.v1" }
func (DepositTaken) FactType() string    { return "loans.DepositTaken.v1" }
func (DepositRefused) FactType() string  { return "loans.DepositRefused.v1" }
func (BookHandedOut) FactType() string   { return "loans.BookHandedOut.v1" }
func (ReaderReminded) FactType() string  { return "loans.ReaderReminded.v1" }
func (LoanCanceled) FactType() string    { return "loans.LoanCanceled.v1" }
func (CopyReturned) FactType() string    { return "loans.CopyReturned.v1" }
func (DepositPaidBack) FactType() string { return "loans.DepositPaidBack.v1" }
func (PayBackFailed) FactType() string   { return "loans.PayBackFailed.v1" }
func (BookWithdrawn) FactType() string   { return "catalog.BookWithdrawn.v1" }
func (BookBlocked) FactType() string     { return "books.BookBlocked.v1" }

func (f LoanAsked) Key() string       { return f.LoanID }
func (f LoanRequested) Key() string   { return f.LoanID }
func (f ReaderBarred) Key() string    { return f.LoanID }
func (f CopyReserved) Key() string    { return f.LoanID }
func (f NoCopyLeft) Key() string      { return f.LoanID }
func (f DepositTaken) Key() string    { return f.LoanID }
func (f DepositRefused) Key() string  { return f.LoanID }
func (f BookHandedOut) Key() string   { return f.LoanID }
func (f ReaderReminded) Key() string  { return f.LoanID }
func (f LoanCanceled) Key() string    { return f.LoanID }
func (f CopyReturned) Key() string    { return f.LoanID }
func (f DepositPaidBack) Key() string { return f.LoanID }
func (f PayBackFailed) Key() string   { return f.LoanID }
func (f BookWithdrawn) Key() string   { return f.Book }
func (f BookBlocked) Key() string     { return f.Book }

// FailureReason is what the command answers with.
func (f ReaderBarred) FailureReason() string { return f.Reason }

// OfBook and OfLoan let one reaction treat several facts alike.

func (f CopyReserved) OfBook() string   { return f.Book }
func (f DepositTaken) OfBook() string   { return f.Book }
func (f NoCopyLeft) OfLoan() string     { return f.LoanID }
func (f DepositRefused) OfLoan() string { return f.LoanID }
