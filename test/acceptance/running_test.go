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
	t.Run("sign-up does not wait for its mail", func(t *testing.T) { signUpDoesNotWait(t, s) })
	t.Run("together", func(t *testing.T) {
		for name, test := range map[string]func(*testing.T, shared){
			"a refused mail refuses no sign-up":           refusedMail,
			"mails do not wait for a slow one":            mailsDoNotWait,
			"an account is verified by its mail":          verification,
			"a post gets its tags and files":              postIsPublished,
			"a corrupt file withdraws the post":           corruptFile,
			"a forbidden tag withdraws the post":          forbiddenTag,
			"a deleted post leaves nothing":               postIsDeleted,
			"orders come out as their cards say":          orders,
			"a canceled order is refunded once":           refundedOnce,
			"a refund that fails is owed":                 refundOwed,
			"an order is canceled while its capture runs": canceledInCapture,
			"a shipped order stays":                       shipped,
			"bad requests are refused":                    badRequests,
			"a bare record from another producer":         bareRecord,
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				test(t, s)
			})
		}
	})
	if t.Failed() {
		return // the rest is about all that was done above
	}
	t.Run("facts stand on Kafka", s.factsOnKafka)
	t.Run("nothing personal is outside its table", s.noMarkers)
}
