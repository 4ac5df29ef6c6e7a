package library

import (
	"time"

	"troupe/choreo"
)

// Flow says who reacts to what, what may come of it, what undoes it, and how
// long it may take. remindAfter is how long a reader keeps a book unasked.
func Flow(bank Bank, remindAfter time.Duration) (*choreo.Flow, error) {
	const day = 24 * time.Hour
	return choreo.NewFlow(
		choreo.Provider("bank", 8),
		choreo.Domain(LoanAsked{}),
		choreo.Foreign(BookWithdrawn{}),
		choreo.Command("request-loan").Emits(LoanAsked{}),
		choreo.Command("call-off").Emits(LoanCanceled{}).Cancels("request-loan", "reserve-copy", "take-deposit", "hand-out"),

		choreo.On("check-reader", CheckReader).InTransaction().
			Emits(LoanRequested{}).FailsWith(ReaderBarred{}).Keeps("it only looks"),
		choreo.On("reserve-copy", ReserveCopy).
			Emits(CopyReserved{}).FailsWith(NoCopyLeft{}).Within(5*time.Second),
		choreo.OnEffect("take-deposit", TakeDeposit{bank}).Calls("bank").
			Emits(DepositTaken{}).FailsWith(DepositRefused{}).GivesUp(day, TakingGivenUp).Within(30*time.Second),
		choreo.On("hand-out", HandOut[CopyReserved]).Joins().Emits(BookHandedOut{}).Within(5*time.Second),
		choreo.On("hand-out", HandOut[DepositTaken]).Joins().Emits(BookHandedOut{}).Within(5*time.Second),
		choreo.On("remind-reader", RemindReader).After(remindAfter).
			Emits(ReaderReminded{}).Irreversible("who has read it has read it").Within(time.Minute),
		choreo.On("note-reader", NoteReader).Local().Within(5*time.Second),
		choreo.OnBatch("count-loans", CountLoans).Within(5*time.Second),

		choreo.On("cancel-loan", CancelLoan[NoCopyLeft]).Emits(LoanCanceled{}).Undoes("request-loan").Within(5*time.Second),
		choreo.On("cancel-loan", CancelLoan[DepositRefused]).Emits(LoanCanceled{}).Undoes("request-loan").Within(5*time.Second),
		choreo.On("return-copy", ReturnCopy).Emits(CopyReturned{}).Undoes("reserve-copy").Within(5*time.Second),
		choreo.OnEffect("pay-back", PayBack{bank}).Calls("bank").Undoes("take-deposit").
			Emits(DepositPaidBack{}).FailsWith(PayBackFailed{}).GivesUp(7*day, PayBackGivenUp).Within(time.Minute),

		choreo.On("block-book", BlockBook).Emits(BookBlocked{}).Within(time.Minute),

		choreo.Final(BookHandedOut{}, choreo.Completed),
		choreo.Final(ReaderReminded{}, choreo.Completed),
		choreo.Final(LoanCanceled{}, choreo.Undone),
		choreo.Final(CopyReturned{}, choreo.Undone),
		choreo.Final(DepositPaidBack{}, choreo.Undone),
		choreo.Final(PayBackFailed{}, choreo.Owed),
		choreo.Final(BookBlocked{}, choreo.Completed),

		choreo.View("shelf", shelf, choreo.Project(Lent)),
	)
}
