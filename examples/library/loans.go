package library

import (
	"context"
	"database/sql"

	"github.com/lib/pq"

	"troupe/choreo"
	"troupe/choreo/view"
)

const tables = `
	create table readers (name text primary key, owes int not null);
	create table books   (title text primary key, copies int not null check (copies >= 0), blocked bool not null default false);
	create table loans   (id text primary key, reader text not null, book text not null, state text not null default 'requested',
	                      reserved bool not null default false, deposit bool not null default false, read_by text);
	create table counts  (book text primary key, loans int not null);`

// shelf is a view: who has which book.
const shelf = `create table lent (loan text primary key, book text not null)`

// Migrate makes the engine's tables, ours, and the view's.
func Migrate(ctx context.Context, pool *sql.DB) error {
	if err := choreo.Migrate(ctx, pool); err != nil {
		return err
	}
	if _, err := pool.ExecContext(ctx, tables); err != nil {
		return err
	}
	flow, err := Flow(nil, 0)
	if err != nil {
		return err
	}
	return view.Migrate(ctx, pool, flow)
}

// Request is the command that begins a loan.
func Request(ctx context.Context, db *choreo.DB, loan LoanAsked) (choreo.Receipt, error) {
	return choreo.Commit(ctx, db, "request-loan", func(ctx context.Context, tx *choreo.Tx) error {
		_, err := tx.ExecContext(ctx, `insert into loans (id, reader, book) values ($1, $2, $3)`, loan.LoanID, loan.Reader, loan.Book)
		tx.Emit(loan)
		return err
	})
}

// CallOff is the command that ends one, in the loan's own saga.
func CallOff(ctx context.Context, db *choreo.DB, loan, saga string) (choreo.Receipt, error) {
	return choreo.Commit(ctx, db, "call-off", func(ctx context.Context, tx *choreo.Tx) error {
		tx.JoinSaga(saga)
		return cancel(ctx, tx, loan)
	})
}

// cancel marks the loan: whatever is done for it later does nothing.
func cancel(ctx context.Context, tx *choreo.Tx, loan string) error {
	var book string
	err := tx.QueryRowContext(ctx, `update loans set state = 'canceled' where id = $1 and state <> 'canceled' returning book`, loan).Scan(&book)
	if err == sql.ErrNoRows {
		return nil // twice is once
	}
	tx.Emit(LoanCanceled{LoanID: loan, Book: book})
	return err
}

// CheckReader on LoanAsked, in its transaction, refuses readers who owe us books.
// Emits LoanRequested; fails with ReaderBarred.
func CheckReader(ctx context.Context, tx *choreo.Tx, e choreo.Event[LoanAsked]) error {
	var owes int
	if err := tx.QueryRowContext(ctx, `select owes from readers where name = $1`, e.Fact.Reader).Scan(&owes); err != nil {
		return err
	}
	if owes > 0 {
		tx.Emit(ReaderBarred{LoanID: e.Fact.LoanID, Reason: "owes-books"})
		return nil
	}
	tx.Emit(LoanRequested(e.Fact))
	return nil
}

// ReserveCopy on LoanRequested keeps a copy for the loan. Emits CopyReserved;
// fails with NoCopyLeft. Undone by return-copy.
func ReserveCopy(ctx context.Context, tx *choreo.Tx, e choreo.Event[LoanRequested]) error {
	kept, err := tx.ExecContext(ctx, `with kept as (update books set copies = copies - 1 where title = $2 and copies > 0 and not blocked returning title)
		update loans set reserved = true where id = $1 and state = 'requested' and exists (select from kept)`, e.Fact.LoanID, e.Fact.Book)
	if err != nil {
		return err
	}
	if n, err := kept.RowsAffected(); n == 0 {
		tx.Emit(NoCopyLeft{LoanID: e.Fact.LoanID})
		return err
	}
	tx.Emit(CopyReserved{LoanID: e.Fact.LoanID, Book: e.Fact.Book})
	return nil
}

// HandOut on CopyReserved and DepositTaken, when both have come, hands the book
// out. Emits BookHandedOut.
func HandOut[F interface {
	choreo.Fact
	OfBook() string
}](ctx context.Context, tx *choreo.Tx, e choreo.Event[F]) error {
	out, err := tx.ExecContext(ctx, `update loans set state = 'out' where id = $1 and state = 'requested'`, e.Fact.Key())
	if err != nil {
		return err
	}
	n, err := out.RowsAffected()
	if n == 1 {
		tx.Emit(BookHandedOut{LoanID: e.Fact.Key(), Book: e.Fact.OfBook()})
	}
	return err
}

// RemindReader on BookHandedOut, a while later, reminds the reader. Emits
// ReaderReminded. Irreversible.
func RemindReader(_ context.Context, tx *choreo.Tx, e choreo.Event[BookHandedOut]) error {
	tx.Emit(ReaderReminded{LoanID: e.Fact.LoanID})
	return nil
}

// NoteReader on BookHandedOut notes with the loan who has read the book. It is
// local: fed from the log, without Kafka.
func NoteReader(ctx context.Context, tx *choreo.Tx, e choreo.Event[BookHandedOut]) error {
	_, err := tx.ExecContext(ctx, `update loans set read_by = reader where id = $1`, e.Fact.LoanID)
	return err
}

// CountLoans on BookHandedOut counts, all of a batch in one statement.
func CountLoans(ctx context.Context, tx *choreo.Tx, batch []choreo.Event[BookHandedOut]) error {
	var books []string
	for _, e := range batch {
		books = append(books, e.Fact.Book)
	}
	_, err := tx.ExecContext(ctx, `insert into counts as c (book, loans) select b, count(*) from unnest($1::text[]) b group by b order by b
		on conflict (book) do update set loans = c.loans + excluded.loans`, pq.Array(books))
	return err
}

// CancelLoan on NoCopyLeft and DepositRefused cancels the loan, once. Emits
// LoanCanceled. Undoes request-loan.
func CancelLoan[F interface {
	choreo.Fact
	OfLoan() string
}](ctx context.Context, tx *choreo.Tx, e choreo.Event[F]) error {
	return cancel(ctx, tx, e.Fact.OfLoan())
}

// ReturnCopy on LoanCanceled puts the copy back, if one was kept. Emits
// CopyReturned. Undoes reserve-copy.
func ReturnCopy(ctx context.Context, tx *choreo.Tx, e choreo.Event[LoanCanceled]) error {
	_, err := tx.ExecContext(ctx, `with was as (update loans set reserved = false where id = $1 and reserved returning book)
		update books set copies = copies + 1 where title in (select book from was)`, e.Fact.LoanID)
	tx.Emit(CopyReturned{LoanID: e.Fact.LoanID})
	return err
}

// BlockBook on the publisher's BookWithdrawn lends the book no more. Emits
// BookBlocked.
func BlockBook(ctx context.Context, tx *choreo.Tx, e choreo.Event[BookWithdrawn]) error {
	_, err := tx.ExecContext(ctx, `update books set blocked = true where title = $1`, e.Fact.Book)
	tx.Emit(BookBlocked(e.Fact))
	return err
}

// Lent on BookHandedOut is the projection of the view.
func Lent(ctx context.Context, tx *choreo.Tx, e choreo.Event[BookHandedOut]) error {
	_, err := tx.ExecContext(ctx, `insert into lent (loan, book) values ($1, $2) on conflict do nothing`, e.Fact.LoanID, e.Fact.Book)
	return err
}
