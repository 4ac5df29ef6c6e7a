// Package handlers is the choreography. This file is its one page: who reacts
// to what, what may come of it, what undoes it and how long it may take. Each
// process has a package below, with one file per consumer.
package handlers

import (
	"time"

	"troupe/choreo"
	"troupe/domain/process"
	"troupe/events"
	"troupe/handlers/accounts"
	"troupe/handlers/blog"
	"troupe/handlers/orders"
	"troupe/handlers/rentals"
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
	const stream = "the stream of a process manager is a record"
	const refused = "RentalChargeFailed says that nothing was charged; what nobody can say is RentalChargeUnknown"
	return choreo.NewFlow(
		// What the effects call, and how many calls each process has under way to it.
		choreo.Provider("mail", 64),
		choreo.Provider("payments", 64),
		choreo.Provider("blobs", 32),
		choreo.Provider("carrier", 32),
		choreo.Provider("sms", 32),

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
		choreo.Command("expire-attachments").Emits(events.AttachmentExpired{}),
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
		choreo.Final(events.AttachmentExpired{}, choreo.Completed),
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
			Calls("payments").Calls("payments").Emits(events.PaymentCaptured{}).FailsWith(events.PaymentDeclined{}, events.PaymentUnknown{}).
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
			Calls("payments").Calls("payments").Undoes("capture-payment").Emits(events.PaymentRefunded{}, events.RefundNotNeeded{}).FailsWith(events.RefundFailed{}).
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

		// ── Rentals, choreographed ───────────────────────────────────────
		choreo.Command("request-rental").Emits(events.RentalRequested{}, events.ManagedRentalRequested{}),
		choreo.Command("request-withdrawal").Emits(events.RentalWithdrawalRequested{}, events.ManagedRentalWithdrawalRequested{}),
		choreo.Command("cancel-rental").Emits(events.RentalCanceled{}, events.ManagedRentalCanceled{}).
			Cancels("request-rental", "charge-rental", "occupy-room", "complete-rental"),

		choreo.OnEffect("charge-rental", rentals.ChargeRental[events.RentalRequested]{Payments: out.Payments, CardKey: out.CardKey}).
			Calls("payments").Emits(events.RentalCharged{}).FailsWith(events.RentalChargeFailed{}, events.RentalChargeUnknown{}).
			GivesUp(15*time.Minute, rentals.ChargeGivenUp[events.RentalRequested]).
			Except(2, refused).Within(time.Minute),
		choreo.On("occupy-room", rentals.OccupyRoom[events.RentalCharged]).
			Emits(events.RoomOccupied{}).FailsWith(events.RoomOccupationFailed{}).Within(5*time.Second),
		choreo.On("complete-rental", rentals.CompleteRental[events.RoomOccupied]).
			Emits(events.RentalCompleted{}).FailsWith(events.RentalCompletionFailed{}).Within(5*time.Second),
		choreo.OnEffect("text-guest", rentals.TextGuest[events.RentalCompleted]{SMS: out.SMS}).
			Calls("sms").Emits(events.GuestTexted{}).FailsWith(events.GuestTextFailed{}).
			GivesUp(day, rentals.TextGivenUp[events.RentalCompleted]).
			Irreversible("an SMS that was sent cannot be called back").Within(time.Minute),

		choreo.On("release-room", rentals.ReleaseRoom[events.RentalCompletionFailed]).
			Undoes("occupy-room").Emits(events.RoomReleased{}).Within(5*time.Second),
		choreo.On("release-room", rentals.ReleaseRoom[events.RentalCanceled]).
			Undoes("occupy-room").Emits(events.RoomReleased{}).Within(5*time.Second),
		choreo.OnEffect("refund-rental", rentals.RefundRental[events.RoomOccupationFailed]{Payments: out.Payments}).
			Calls("payments").Undoes("charge-rental").Emits(events.RentalRefunded{}).FailsWith(events.RentalRefundFailed{}).
			GivesUp(7*day, rentals.RefundGivenUp[events.RoomOccupationFailed]).Within(time.Minute),
		choreo.OnEffect("refund-rental", rentals.RefundRental[events.RoomReleased]{Payments: out.Payments}).
			Calls("payments").Undoes("charge-rental").Emits(events.RentalRefunded{}).FailsWith(events.RentalRefundFailed{}).
			GivesUp(7*day, rentals.RefundGivenUp[events.RoomReleased]).Within(time.Minute),
		choreo.OnEffect("refund-rental", rentals.RefundRental[events.RentalChargeUnknown]{Payments: out.Payments}).
			Calls("payments").Undoes("charge-rental").Emits(events.RentalRefunded{}).FailsWith(events.RentalRefundFailed{}).
			GivesUp(7*day, rentals.RefundGivenUp[events.RentalChargeUnknown]).Within(time.Minute),
		choreo.On("withdraw-rental", rentals.WithdrawRental[events.RentalChargeFailed]).
			Undoes("request-rental", "complete-rental").Emits(events.RentalWithdrawn{}).Within(5*time.Second),
		choreo.On("withdraw-rental", rentals.WithdrawRental[events.RentalRefunded]).
			Undoes("request-rental", "complete-rental").Emits(events.RentalWithdrawn{}).Within(5*time.Second),
		choreo.On("flag-rental-refund", rentals.FlagRentalRefund[events.RentalRefundFailed]).
			Undoes("request-rental", "complete-rental").Within(5*time.Second),

		choreo.Final(events.RentalCompleted{}, choreo.Completed),
		choreo.Final(events.GuestTexted{}, choreo.Completed),
		choreo.Final(events.GuestTextFailed{}, choreo.Completed),
		choreo.Final(events.RentalWithdrawalRequested{}, choreo.Undone),
		choreo.Final(events.RentalCanceled{}, choreo.Undone),
		choreo.Final(events.RentalWithdrawn{}, choreo.Undone),
		choreo.Final(events.RentalRefundFailed{}, choreo.Owed),

		// ── Rentals, led by a process manager ────────────────────────────
		choreo.Request(events.ChargeRental{}),
		choreo.Request(events.OccupyRoom{}),
		choreo.Request(events.CompleteRental{}),
		choreo.Request(events.TextGuest{}),
		choreo.Request(events.ReleaseRoom{}),
		choreo.Request(events.RefundRental{}),
		choreo.Request(events.WithdrawRental{}),
		choreo.Request(events.FlagRentalRefund{}),

		choreo.On("manage-rental", rentals.StartManaging(process.Whole)).
			Emits(events.ChargeRental{}, events.WithdrawRental{}).Keeps(stream).Within(5*time.Second),
		choreo.On("manage-rental", rentals.ManageRental[events.ManagedRentalCharged](process.Whole)).
			Emits(events.OccupyRoom{}, events.RefundRental{}).Keeps(stream).Within(5*time.Second),
		choreo.On("manage-rental", rentals.ManageRental[events.ManagedRoomOccupied](process.Whole)).
			Emits(events.CompleteRental{}, events.ReleaseRoom{}).Keeps(stream).Within(5*time.Second),
		choreo.On("manage-rental", rentals.ManageRental[events.ManagedRentalCompleted](process.Whole)).
			Emits(events.TextGuest{}).Keeps(stream).Within(5*time.Second),
		choreo.On("manage-rental", rentals.ManageRental[events.ManagedRentalChargeFailed](process.Whole)).
			Emits(events.WithdrawRental{}).Keeps(stream).Within(5*time.Second),
		choreo.On("manage-rental", rentals.ManageRental[events.ManagedRentalChargeUnknown](process.Whole)).
			Emits(events.RefundRental{}).Keeps(stream).Within(5*time.Second),
		choreo.On("manage-rental", rentals.ManageRental[events.ManagedRoomOccupationFailed](process.Whole)).
			Emits(events.RefundRental{}).Keeps(stream).Within(5*time.Second),
		choreo.On("manage-rental", rentals.ManageRental[events.ManagedRentalCompletionFailed](process.Whole)).
			Emits(events.ReleaseRoom{}).Keeps(stream).Within(5*time.Second),
		choreo.On("manage-rental", rentals.ManageRental[events.ManagedRentalCanceled](process.Whole)).
			Emits(events.ReleaseRoom{}).Keeps(stream).Within(5*time.Second),
		choreo.On("manage-rental", rentals.ManageRental[events.ManagedRoomReleased](process.Whole)).
			Emits(events.RefundRental{}).Keeps(stream).Within(5*time.Second),
		choreo.On("manage-rental", rentals.ManageRental[events.ManagedRentalRefunded](process.Whole)).
			Emits(events.WithdrawRental{}).Keeps(stream).Within(5*time.Second),
		choreo.On("manage-rental", rentals.ManageRental[events.ManagedRentalRefundFailed](process.Whole)).
			Emits(events.FlagRentalRefund{}).Keeps(stream).
			Except(1, "the failed refund, which is final, is the end: flagging it says nothing new").Within(5*time.Second),
		choreo.On("manage-rental", rentals.ManageRental[events.ManagedRentalWithdrawalRequested](process.Whole)).
			Keeps(stream).Within(5*time.Second),
		choreo.On("manage-rental", rentals.ManageRental[events.ManagedGuestTexted](process.Whole)).
			Keeps(stream).Within(5*time.Second),
		choreo.On("manage-rental", rentals.ManageRental[events.ManagedGuestTextFailed](process.Whole)).
			Keeps(stream).Within(5*time.Second),
		choreo.On("manage-rental", rentals.ManageRental[events.ManagedRentalWithdrawn](process.Whole)).
			Keeps(stream).Within(5*time.Second),
		choreo.On("confirm-publishing", rentals.ConfirmPublishing[events.ChargeRental]).Local().Keeps(stream).Within(5*time.Second),
		choreo.On("confirm-publishing", rentals.ConfirmPublishing[events.OccupyRoom]).Local().Keeps(stream).Within(5*time.Second),
		choreo.On("confirm-publishing", rentals.ConfirmPublishing[events.CompleteRental]).Local().Keeps(stream).Within(5*time.Second),
		choreo.On("confirm-publishing", rentals.ConfirmPublishing[events.TextGuest]).Local().Keeps(stream).Within(5*time.Second),
		choreo.On("confirm-publishing", rentals.ConfirmPublishing[events.ReleaseRoom]).Local().Keeps(stream).Within(5*time.Second),
		choreo.On("confirm-publishing", rentals.ConfirmPublishing[events.RefundRental]).Local().Keeps(stream).Within(5*time.Second),
		choreo.On("confirm-publishing", rentals.ConfirmPublishing[events.WithdrawRental]).Local().Keeps(stream).Within(5*time.Second),
		choreo.On("confirm-publishing", rentals.ConfirmPublishing[events.FlagRentalRefund]).Local().Keeps(stream).Within(5*time.Second),

		choreo.OnEffect("charge-rental", rentals.ChargeRental[events.ChargeRental]{Payments: out.Payments, CardKey: out.CardKey}).
			Calls("payments").Emits(events.ManagedRentalCharged{}).FailsWith(events.ManagedRentalChargeFailed{}, events.ManagedRentalChargeUnknown{}).
			GivesUp(15*time.Minute, rentals.ChargeGivenUp[events.ChargeRental]).
			Except(2, refused).Within(time.Minute),
		choreo.On("occupy-room", rentals.OccupyRoom[events.OccupyRoom]).
			Emits(events.ManagedRoomOccupied{}).FailsWith(events.ManagedRoomOccupationFailed{}).Within(5*time.Second),
		choreo.On("complete-rental", rentals.CompleteRental[events.CompleteRental]).
			Emits(events.ManagedRentalCompleted{}).FailsWith(events.ManagedRentalCompletionFailed{}).Within(5*time.Second),
		choreo.OnEffect("text-guest", rentals.TextGuest[events.TextGuest]{SMS: out.SMS}).
			Calls("sms").Emits(events.ManagedGuestTexted{}).FailsWith(events.ManagedGuestTextFailed{}).
			GivesUp(day, rentals.TextGivenUp[events.TextGuest]).
			Irreversible("an SMS that was sent cannot be called back").Within(time.Minute),

		choreo.On("release-room", rentals.ReleaseRoom[events.ReleaseRoom]).
			Undoes("occupy-room").Emits(events.ManagedRoomReleased{}).Within(5*time.Second),
		choreo.OnEffect("refund-rental", rentals.RefundRental[events.RefundRental]{Payments: out.Payments}).
			Calls("payments").Undoes("charge-rental").Emits(events.ManagedRentalRefunded{}).FailsWith(events.ManagedRentalRefundFailed{}).
			GivesUp(7*day, rentals.RefundGivenUp[events.RefundRental]).Within(time.Minute),
		choreo.On("withdraw-rental", rentals.WithdrawRental[events.WithdrawRental]).
			Undoes("request-rental", "complete-rental").Emits(events.ManagedRentalWithdrawn{}).Within(5*time.Second),
		choreo.On("flag-rental-refund", rentals.FlagRentalRefund[events.FlagRentalRefund]).
			Undoes("request-rental", "complete-rental").Within(5*time.Second),

		choreo.Final(events.ManagedRentalCompleted{}, choreo.Completed),
		choreo.Final(events.ManagedGuestTexted{}, choreo.Completed),
		choreo.Final(events.ManagedGuestTextFailed{}, choreo.Completed),
		choreo.Final(events.ManagedRentalWithdrawalRequested{}, choreo.Undone),
		choreo.Final(events.ManagedRentalCanceled{}, choreo.Undone),
		choreo.Final(events.ManagedRentalWithdrawn{}, choreo.Undone),
		choreo.Final(events.ManagedRentalRefundFailed{}, choreo.Owed),

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
