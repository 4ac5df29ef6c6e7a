// Package handlers is the choreography. This file is its one page: who reacts
// to what, what may come of it, what undoes it and how long it may take. Each
// process has a package below, with one file per consumer.
package handlers

import (
	"time"

	"troupe/choreo"
	"troupe/events"
	"troupe/handlers/accounts"
	"troupe/handlers/blog"
	"troupe/handlers/orders"
	"troupe/providers/blobs"
	"troupe/providers/carrier"
	"troupe/providers/mail"
	"troupe/providers/payment"
	"troupe/providers/sms"
	"troupe/views/accountinfo"
	"troupe/views/orderdetails"
	"troupe/views/postlist"
	"troupe/views/salesstats"
)

// Outside is what the consumers talk to and the secrets that they hold.
type Outside struct {
	Mail          mail.Mailer
	Payments      payment.Payments
	Carrier       carrier.Carrier
	SMS           sms.Gateway
	Blobs         *blobs.Store
	TokenKey      []byte   // derives verification tokens
	CardKey       []byte   // encrypts card tokens, 32 bytes
	ForbiddenTags []string // folded names that create-tags rejects
}

// Flow is the choreography over the given outside.
func Flow(out Outside) (*choreo.Flow, error) {
	verificationMail, day := 20*time.Second, 24*time.Hour
	return choreo.NewFlow(
		// What the effects call, and how many calls each process has under way to it.
		choreo.Provider("mail", 64),
		choreo.Provider("payments", 64),
		choreo.Provider("blobs", 32),
		choreo.Provider("carrier", 32),

		// ── Accounts ─────────────────────────────────────────────────────
		choreo.Command("sign-up").Emits(events.AccountRegistered{}),
		choreo.Command("request-verification-mail").Emits(events.VerificationMailRequested{}),
		choreo.Command("verify-account").Emits(events.AccountVerified{}),
		choreo.Command("change-password").Emits(events.PasswordChanged{}),

		choreo.OnEffect("send-verification-mail", accounts.SendVerificationMail[events.AccountRegistered]{Mail: out.Mail, Key: out.TokenKey}).
			Calls("mail").Emits(events.VerificationMailSent{}).FailsWith(events.VerificationMailFailed{}).
			GivesUp(day, accounts.VerificationMailGivenUp[events.AccountRegistered]).
			Line(accounts.ByMail[events.AccountRegistered]).
			Irreversible("a mail that was sent cannot be called back").Within(verificationMail),
		choreo.OnEffect("send-verification-mail", accounts.SendVerificationMail[events.VerificationMailRequested]{Mail: out.Mail, Key: out.TokenKey}).
			Calls("mail").Emits(events.VerificationMailSent{}).FailsWith(events.VerificationMailFailed{}).
			GivesUp(day, accounts.VerificationMailGivenUp[events.VerificationMailRequested]).
			Line(accounts.ByMail[events.VerificationMailRequested]).
			Irreversible("a mail that was sent cannot be called back").Within(verificationMail),
		choreo.On("record-mail", accounts.RecordMailSent).Local().Within(5*time.Second),
		choreo.On("record-mail", accounts.RecordMailFailed).Local().Within(5*time.Second),

		choreo.Final(events.VerificationMailSent{}, choreo.Completed),
		choreo.Final(events.VerificationMailFailed{}, choreo.Failed),
		choreo.Final(events.AccountVerified{}, choreo.Completed),
		choreo.Final(events.PasswordChanged{}, choreo.Completed),

		// ── Account deletion: two deletions side by side ─────────────────
		choreo.Command("create-project").Emits(events.ProjectCreated{}),
		choreo.Command("add-member").Emits(events.MemberAdded{}),
		choreo.Command("request-account-deletion").Emits(events.AccountDeletionRequested{}),

		choreo.On("delete-projects", accounts.DeleteProjects).After(time.Second).
			Emits(events.ProjectsDeleted{}).FailsWith(events.ProjectsDeletionFailed{}).Within(5*time.Second),
		choreo.On("delete-account", accounts.DeleteAccount).After(time.Second).
			Emits(events.AccountDeleted{}).FailsWith(events.AccountDeletionFailed{}).Within(5*time.Second),
		choreo.On("restore-projects", accounts.RestoreProjects).
			Undoes("delete-projects").Emits(events.ProjectsRestored{}).Within(5*time.Second),
		choreo.On("restore-account", accounts.RestoreAccount[events.ProjectsDeletionFailed]).
			Undoes("delete-account", "request-account-deletion").Emits(events.AccountRestored{}).Within(5*time.Second),
		choreo.On("restore-account", accounts.RestoreAccount[events.ProjectsRestored]).
			Undoes("delete-account", "request-account-deletion").Emits(events.AccountRestored{}).Within(5*time.Second),
		choreo.On("erase-account", accounts.EraseWithoutProjects).Joins().
			Emits(events.AccountErased{}).Irreversible("what is destroyed cannot be brought back").Within(5*time.Second),
		choreo.On("erase-account", accounts.EraseDeletedAccount).Joins().
			Emits(events.AccountErased{}).Irreversible("what is destroyed cannot be brought back").Within(5*time.Second),

		choreo.Final(events.ProjectCreated{}, choreo.Completed),
		choreo.Final(events.MemberAdded{}, choreo.Completed),
		choreo.Final(events.AccountErased{}, choreo.Completed),
		choreo.Final(events.AccountRestored{}, choreo.Undone),

		// ── Blog ─────────────────────────────────────────────────────────
		choreo.Command("upload-attachment").Emits(events.AttachmentUploaded{}),
		choreo.Command("create-post").Emits(events.PostCreated{}),
		choreo.Command("delete-post").Emits(events.PostDeleted{}).
			Cancels("create-post", "create-tags", "relocate-attachments", "publish-post"),

		choreo.On("create-tags", blog.CreateTags(out.ForbiddenTags)).
			Emits(events.TagsCreated{}).FailsWith(events.TagsRejected{}).Within(5*time.Second),
		choreo.OnEffect("relocate-attachments", blog.RelocateAttachments{Blobs: out.Blobs}).
			Calls("blobs").Emits(events.AttachmentsRelocated{}).FailsWith(events.AttachmentRelocationFailed{}).
			GivesUp(12*time.Hour, blog.RelocationGivenUp).Within(2*time.Minute),
		choreo.On("publish-post", blog.PublishPost[events.PostCreated]).Joins().Emits(events.PostPublished{}).Within(5*time.Second),
		choreo.On("publish-post", blog.PublishPost[events.TagsCreated]).Joins().Emits(events.PostPublished{}).Within(5*time.Second),
		choreo.On("publish-post", blog.PublishPost[events.AttachmentsRelocated]).Joins().Emits(events.PostPublished{}).Within(5*time.Second),

		choreo.On("withdraw-post", blog.WithdrawPost[events.TagsRejected]).
			Undoes("create-post").Emits(events.PostWithdrawn{}).Within(5*time.Second),
		choreo.On("withdraw-post", blog.WithdrawPost[events.AttachmentRelocationFailed]).
			Undoes("create-post").Emits(events.PostWithdrawn{}).Within(5*time.Second),
		choreo.On("remove-tags", blog.RemoveTags[events.PostWithdrawn]).
			Undoes("create-tags").Emits(events.TagsRemoved{}).Within(5*time.Second),
		choreo.On("remove-tags", blog.RemoveTags[events.PostDeleted]).
			Undoes("create-tags").Emits(events.TagsRemoved{}).Within(5*time.Second),
		choreo.OnEffect("return-attachments", blog.ReturnAttachments[events.PostWithdrawn]{Blobs: out.Blobs}).
			Calls("blobs").Undoes("relocate-attachments").Emits(events.AttachmentsReturned{}).FailsWith(events.AttachmentsReturnFailed{}).
			GivesUp(7*day, blog.ReturnGivenUp[events.PostWithdrawn]).Within(time.Minute),
		choreo.OnEffect("return-attachments", blog.ReturnAttachments[events.PostDeleted]{Blobs: out.Blobs}).
			Calls("blobs").Undoes("relocate-attachments").Emits(events.AttachmentsReturned{}).FailsWith(events.AttachmentsReturnFailed{}).
			GivesUp(7*day, blog.ReturnGivenUp[events.PostDeleted]).Within(time.Minute),
		choreo.OnEffect("mail-author", blog.MailAuthor{Mail: out.Mail}).
			Calls("mail").Emits(events.AuthorMailed{}).FailsWith(events.AuthorMailFailed{}).
			GivesUp(day, blog.AuthorMailGivenUp).
			Irreversible("a mail that was sent cannot be called back").Within(time.Minute),

		choreo.Final(events.AttachmentUploaded{}, choreo.Completed),
		choreo.Final(events.PostPublished{}, choreo.Completed),
		choreo.Final(events.PostWithdrawn{}, choreo.Undone),
		choreo.Final(events.PostDeleted{}, choreo.Undone),
		choreo.Final(events.TagsRemoved{}, choreo.Undone),
		choreo.Final(events.AttachmentsReturned{}, choreo.Undone),
		choreo.Final(events.AttachmentsReturnFailed{}, choreo.Owed),
		choreo.Final(events.AuthorMailed{}, choreo.Undone),
		choreo.Final(events.AuthorMailFailed{}, choreo.Undone),

		// ── Orders ───────────────────────────────────────────────────────
		choreo.Domain(events.OrderStarted{}),
		choreo.Command("place-order").Emits(events.OrderStarted{}),
		choreo.Command("ship-order").Emits(events.OrderShipped{}),
		choreo.Command("cancel-order").Emits(events.OrderCanceled{}).
			Cancels("place-order", "capture-payment", "confirm-order"),

		choreo.On("verify-buyer", orders.VerifyBuyer(out.CardKey)).InTransaction().Emits(events.OrderSubmitted{}).
			Keeps("a buyer and a payment method may stand without an order: the next order uses them"),
		choreo.OnEffect("capture-payment", orders.CapturePayment{Payments: out.Payments, CardKey: out.CardKey}).
			Calls("payments").Emits(events.PaymentCaptured{}).FailsWith(events.PaymentDeclined{}, events.PaymentUnknown{}).
			GivesUp(15*time.Minute, orders.CaptureGivenUp).Within(30*time.Second),
		choreo.On("confirm-order", orders.ConfirmOrder).Emits(events.OrderConfirmed{}).Within(5*time.Second),
		choreo.OnEffect("mail-buyer", orders.MailBuyer{Mail: out.Mail}).
			Calls("mail").Emits(events.BuyerMailed{}).FailsWith(events.BuyerMailFailed{}).
			GivesUp(day, orders.BuyerMailGivenUp).
			Irreversible("a mail that was sent cannot be called back").Within(time.Minute),

		choreo.On("cancel-unpaid-order", orders.CancelUnpaidOrder[events.PaymentDeclined]).
			Undoes("place-order").Emits(events.OrderCanceled{}).Within(5*time.Second),
		choreo.On("cancel-unpaid-order", orders.CancelUnpaidOrder[events.PaymentUnknown]).
			Undoes("place-order").Emits(events.OrderCanceled{}).Within(5*time.Second),
		choreo.OnEffect("refund-payment", orders.RefundPayment{Payments: out.Payments}).
			Calls("payments").Undoes("capture-payment").Emits(events.PaymentRefunded{}, events.RefundNotNeeded{}).FailsWith(events.RefundFailed{}).
			GivesUp(7*day, orders.RefundGivenUp).Within(5*time.Minute),
		choreo.On("complete-refund", orders.CompleteRefund[events.PaymentRefunded]).Emits(events.RefundCompleted{}).Within(5*time.Second),
		choreo.On("complete-refund", orders.CompleteRefund[events.RefundNotNeeded]).Emits(events.RefundCompleted{}).Within(5*time.Second),
		choreo.On("flag-refund", orders.FlagRefund).Within(5*time.Second),

		choreo.Command("change-shipping-info").Emits(events.ShippingInfoChanged{}),
		choreo.OnEffect("sync-carrier", orders.SyncCarrier{Carrier: out.Carrier}).
			Calls("carrier").Emits(events.CarrierSynced{}, events.ShippingInfoSuperseded{}).FailsWith(events.CarrierSyncFailed{}).
			GivesUp(day, orders.SyncGivenUp).Within(time.Minute),
		choreo.On("revert-shipping-info", orders.RevertShippingInfo).
			Undoes("change-shipping-info").Emits(events.ShippingInfoReverted{}).Within(5*time.Second),
		choreo.OnEffect("recall-carrier", orders.RecallCarrier{Carrier: out.Carrier}).
			Calls("carrier").Undoes("sync-carrier").Emits(events.CarrierRecalled{}).FailsWith(events.CarrierRecallFailed{}).
			GivesUp(7*day, orders.RecallGivenUp).Within(time.Minute),

		choreo.Final(events.CarrierSynced{}, choreo.Completed),
		choreo.Final(events.ShippingInfoSuperseded{}, choreo.Completed),
		choreo.Final(events.ShippingInfoReverted{}, choreo.Undone),
		choreo.Final(events.CarrierRecalled{}, choreo.Undone),
		choreo.Final(events.CarrierRecallFailed{}, choreo.Owed),

		choreo.Final(events.OrderConfirmed{}, choreo.Completed),
		choreo.Final(events.BuyerMailed{}, choreo.Completed),
		choreo.Final(events.BuyerMailFailed{}, choreo.Completed),
		choreo.Final(events.OrderShipped{}, choreo.Completed),
		choreo.Final(events.OrderCanceled{}, choreo.Undone),
		choreo.Final(events.RefundCompleted{}, choreo.Undone),
		choreo.Final(events.RefundFailed{}, choreo.Owed),

		// ── Views ────────────────────────────────────────────────────────
		choreo.View(accountinfo.Name, accountinfo.Tables,
			choreo.Project(accountinfo.Registered), choreo.Project(accountinfo.Verified),
			choreo.Project(accountinfo.MailRequested), choreo.Project(accountinfo.MailSent), choreo.Project(accountinfo.MailFailed),
			choreo.Project(accountinfo.DeletionRequested), choreo.Project(accountinfo.Restored), choreo.Project(accountinfo.Erased)),
		choreo.View(postlist.Name, postlist.Tables,
			choreo.Project(postlist.Created), choreo.Project(postlist.TagsCreated), choreo.Project(postlist.TagsRemoved),
			choreo.Project(postlist.Published), choreo.Project(postlist.Withdrawn), choreo.Project(postlist.Deleted), choreo.Project(postlist.AuthorErased)),
		choreo.View(orderdetails.Name, orderdetails.Tables,
			choreo.Project(orderdetails.Submitted), choreo.Project(orderdetails.Confirmed), choreo.Project(orderdetails.Shipped),
			choreo.Project(orderdetails.Canceled), choreo.Project(orderdetails.RefundCompleted),
			choreo.Project(orderdetails.Captured), choreo.Project(orderdetails.Refunded),
			choreo.Project(orderdetails.RefundNotNeeded), choreo.Project(orderdetails.RefundFailed),
			choreo.Project(orderdetails.ShippingChanged), choreo.Project(orderdetails.CarrierSynced), choreo.Project(orderdetails.CarrierFailed)),
		choreo.Pulled(salesstats.Name, salesstats.Tables, salesstats.Project,
			events.OrderSubmitted{}, events.OrderConfirmed{}, events.PaymentRefunded{}),
	)
}
