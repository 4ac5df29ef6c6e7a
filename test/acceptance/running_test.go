package acceptance

import (
	"database/sql"
	"testing"
)

// shared is the system on which everything runs side by side that hurts nobody
// else, and its database.
type shared struct {
	*system
	db *sql.DB
}

func TestARunningSystem(t *testing.T) {
	t.Parallel()
	url, db := database(t)
	s := shared{up(t, onDatabase(url), with("TROUPE_LOG_LEVEL", "DEBUG")), db}
	t.Run("sign-up does not wait for its mail", s.signUpDoesNotWait)
	t.Run("together", func(t *testing.T) {
		t.Run("a refused mail refuses no sign-up", s.refusedMail)
		t.Run("mails do not wait for a slow one", s.mailsDoNotWait)
		t.Run("an account is verified by its mail", s.verification)
		t.Run("a verification mail is sent again", s.mailAgain)
		t.Run("a new password ends other sessions", s.passwordChanged)
		t.Run("refused mails harm nothing else", s.refusedMailsHarmNothing)
		t.Run("a post gets its tags and files", s.postIsPublished)
		t.Run("a corrupt file withdraws the post", s.corruptFile)
		t.Run("a forbidden tag withdraws the post", s.forbiddenTag)
		t.Run("a deleted post leaves nothing", s.postIsDeleted)
		t.Run("orders come out as their cards say", s.orders)
		t.Run("a canceled order is refunded once", s.refundedOnce)
		t.Run("a refund that fails is owed", s.refundOwed)
		t.Run("an order is canceled while its capture runs", s.canceledInCapture)
		t.Run("a shipped order stays", s.shipped)
		t.Run("accounts are deleted", s.deletions)
		t.Run("a change of where an order goes", s.shippingChanges)
		t.Run("an address that the carrier refuses is owed", s.recallOwed)
		t.Run("many changes of where an order goes", s.manyShippingChanges)
		t.Run("an order under way goes where it goes", s.tooLateToShipElsewhere)
		t.Run("a room is rented as card and phone say", s.rentals)
		t.Run("a room that is taken is rented no more", s.rentalOfATakenRoom)
		t.Run("a complete rental is canceled", s.rentalIsCanceled)
		t.Run("a rental is withdrawn while its charge runs", s.rentalIsWithdrawnInCharge)
		t.Run("rentals have rules", s.rentalRules)
		t.Run("bad requests are refused", s.badRequests)
		t.Run("a bare record from another producer", s.bareRecord)
	})
	t.Run("in crowds", func(t *testing.T) { // by themselves: they take all the machine has
		t.Run("many sign up with one address", s.manySignUpsWithOneAddress)
		t.Run("many posts have the same ten tags", s.manyPostsWithTheSameTags)
		t.Run("many want one room for one night", s.manyWantOneRoom)
		t.Run("orders, posts and rentals are taken back at any moment", s.takenBackAtAnyMoment)
	})
	if t.Failed() {
		return // the rest is about all that was done above
	}
	t.Run("facts stand on Kafka", s.factsOnKafka)
	t.Run("nothing personal is outside its table", s.noMarkers)
	t.Run("every row of the catalogue has come about", s.everyRow)
}
