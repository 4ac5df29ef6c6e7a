package sim

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// logged is an event as the log has it.
type logged struct {
	position, sequence                int64
	stream, id, typ, key, saga, ranIn string
	causation, emitter                string
}

// check holds the engine's tables against what was committed.
func (s *Sim) check(ctx context.Context) ([]Violation, error) {
	// A while later: the cursor of sagas looks again at what it has left open.
	pool, err := openPlain(s.o.Database, s.now.Add(time.Hour))
	if err != nil {
		return nil, err
	}
	defer pool.Close() //nolint:errcheck // it only read
	s.DB, err = s.reopen(ctx, pool)
	if err != nil {
		return nil, err
	}
	found := s.wrong
	report := func(invariant, saga, format string, args ...any) {
		found = append(found, Violation{invariant, saga, fmt.Sprintf(format, args...)})
	}
	if s.counts["restless"] > 0 {
		report("everything comes to rest", "", "after %d points it is still going", s.counts["points"])
	}
	log, err := s.readLog(ctx)
	if err != nil {
		return nil, err
	}
	s.checkLog(log, report)
	s.checkForeign(log, report)
	s.checkKnown(log, report)
	log = slices.DeleteFunc(log, func(l logged) bool { return l.sequence == 0 })
	s.checkOnce(report)
	s.checkOrder(log, report)
	s.checkCalls(report)
	s.checkUndos(report)
	if err := s.checkTaken(ctx, log, report); err != nil {
		return nil, err
	}
	if err := s.checkSagas(ctx, log, report); err != nil {
		return nil, err
	}
	if s.play.Check != nil {
		more, err := s.play.Check(ctx, s)
		if err != nil {
			return nil, err
		}
		found = append(found, s.untouched(more)...)
	}
	return found, nil
}

type reporter func(invariant, saga, format string, args ...any)

func (s *Sim) readLog(ctx context.Context) ([]logged, error) {
	rows, err := s.DB.Pool().QueryContext(ctx, `select l.position, coalesce(l.sequence, 0), coalesce(t.source || ' ' || t.topic || '/' || t.partition, l.source), l.event_id, l.type, l.key, l.saga,
		l.ran_in, l.causation, l.emitter
		from choreo.event_log l left join choreo.streams t on t.id = l.stream order by l.position`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []logged
	for rows.Next() {
		var l logged
		if err := rows.Scan(&l.position, &l.sequence, &l.stream, &l.id, &l.typ, &l.key, &l.saga, &l.ranIn, &l.causation, &l.emitter); err != nil {
			return nil, err
		}
		all = append(all, l)
	}
	return all, rows.Err()
}

// checkLog: what was committed stands in the log, once, and nothing else; its
// positions and the sequences of its streams have no gaps; and a fact stands
// behind those of its key that were committed before its reaction began.
func (s *Sim) checkLog(log []logged, report reporter) {
	place := map[string]int{}
	sequence := map[string]int64{}
	before := int64(0)
	for i, l := range log {
		if l.position != before+1 && l.position%100_000_000 != 1 {
			report("positions have no gaps but where a partition ends", l.saga, "position %d stands behind %d", l.position, before)
			break
		}
		before = l.position
		if _, twice := place[l.id]; twice {
			report("a fact is logged once", l.saga, "%s %s stands in the log twice", l.typ, l.id)
		}
		place[l.id] = i
	}
	byStream := slices.DeleteFunc(slices.Clone(log), func(l logged) bool { return l.sequence == 0 })
	slices.SortStableFunc(byStream, func(a, b logged) int {
		if c := strings.Compare(a.stream, b.stream); c != 0 {
			return c
		}
		return int(a.sequence - b.sequence)
	})
	for _, l := range byStream {
		sequence[l.stream]++
		if l.sequence != sequence[l.stream] {
			report("sequences have no gaps", l.saga, "%s has sequence %d where %d should be", l.stream, l.sequence, sequence[l.stream])
			break
		}
	}
	emitted, committed := map[string]bool{}, map[string]int{}
	for _, n := range s.notes {
		if n.Kind != Emitted {
			continue
		}
		if emitted[n.Event.ID] {
			report("a fact is emitted once", n.Event.Saga, "%s emitted %s %s twice", n.Consumer, n.Event.Type, n.Event.ID)
		}
		emitted[n.Event.ID] = true
		committed[n.Event.ID] = n.N
		if _, ok := place[n.Event.ID]; !ok {
			report("no fact is lost", n.Event.Saga, "%s %s of %s was committed and is not in the log", n.Event.Type, n.Event.ID, n.Consumer)
		}
	}
	latest, of := -1, ""
	for _, l := range log {
		if committed[l.id] > 0 && committed[l.id] <= latest {
			report("the log keeps the order of commits", l.saga, "%s %s stands behind %s, which was emitted after it was committed", l.typ, l.id, of)
		}
		if at, ok := s.emitAt[l.id]; ok && at > latest {
			latest, of = at, l.typ+" "+l.id
		}
		if !emitted[l.id] && l.sequence > 0 {
			report("no fact is invented", l.saga, "%s %s of %s was never committed", l.typ, l.id, l.emitter)
		}
	}
}

// checkForeign: what others put on our topics stands in the log, and nothing that
// they did not, unless Kafka lost it before it was read.
func (s *Sim) checkForeign(log []logged, report reporter) {
	there := map[string]bool{}
	for _, l := range log {
		if l.sequence > 0 {
			continue
		}
		there[l.id] = true
		if _, there := s.strayed[l.id]; !there {
			report("no foreign event is invented", l.saga, "%s %s of %s was never put there", l.typ, l.id, l.stream)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(s.strayed)) {
		if s.losses == 0 && s.strayed[id] && !there[id] {
			report("every foreign event is collected", id, "%s is not in the log", id)
		}
	}
}

// checkKnown: what a consumer takes stands in the log; what a restore took back
// does not, and is applied by none.
func (s *Sim) checkKnown(log []logged, report reporter) {
	known := map[string]bool{}
	for _, l := range log {
		known[l.id] = true
	}
	for _, n := range s.notes {
		if _, stray := s.strayed[n.Event.ID]; !stray && n.Kind != Emitted && !known[n.Event.ID] && !s.flow.IsDomain(n.Event.Type) {
			report("nothing is taken that is not in the log", n.Event.Saga, "%s on %s %s: %s", n.Consumer, n.Event.Type, n.Event.ID, n.Kind)
			known[n.Event.ID] = true
		}
	}
}

// checkOnce: a consumer takes an event once, with one outcome, and one more each
// time that its step is redone.
func (s *Sim) checkOnce(report reporter) {
	type taking struct {
		consumer, event string
		round           int
	}
	outcome := map[taking]string{}
	for _, n := range s.notes {
		if n.Kind == Emitted || n.Kind == Intent {
			continue
		}
		k := taking{n.Consumer, n.Event.Source + n.Event.ID, n.Round}
		if strings.HasPrefix(n.Event.ID, "stray") {
			k.event = n.Event.ID
		}
		if before := outcome[k]; before != "" {
			report("one event, one outcome", n.Event.Saga, "%s on %s %s: %s, and before %s", n.Consumer, n.Event.Type, n.Event.ID, n.Kind, before)
		}
		outcome[k] = n.Kind
	}
}

// checkOrder: a consumer takes the events of a line in the order of the log, those
// of an earlier source first; what is redone comes later.
func (s *Sim) checkOrder(log []logged, report reporter) {
	position := map[string]logged{}
	for _, l := range log {
		position[l.id] = l
	}
	type line struct{ consumer, line, stream string }
	last := map[line]logged{}
	for _, n := range s.notes {
		l, own := position[n.Event.ID]
		if n.Kind == Emitted || n.Kind == Intent || n.Round > 0 || !own {
			continue
		}
		if slices.Contains(strings.Split(l.ranIn, ","), n.Consumer) {
			continue
		}
		_, at, _ := strings.Cut(l.stream, " ")
		k := line{n.Consumer, n.Line, at}
		if before := last[k]; before.position > l.position {
			report("order within a line", n.Event.Saga, "%s took %s %s (sequence %d of %s) after %s %s (%d)",
				n.Consumer, l.typ, l.id, l.sequence, l.stream, before.typ, before.id, before.sequence)
		}
		last[k] = l
	}
}

// checkCalls: a call has one idempotency key, and an intent before it.
func (s *Sim) checkCalls(report reporter) {
	key := map[string]string{}
	for _, c := range s.calls {
		of := c.Consumer + " " + c.Event
		if before := key[of]; before != "" && before != c.Key {
			report("one idempotency key", c.Saga, "%s on %s called under %s and under %s", c.Consumer, c.Event, before, c.Key)
		}
		key[of] = c.Key
		if c.Undeclared {
			report("intent before call", c.Saga, "%s on %s called before its intent was committed", c.Consumer, c.Event)
		}
	}
}

// checkUndos: what was undone does not run any more.
func (s *Sim) checkUndos(report reporter) {
	type of struct{ step, saga, key string }
	undone := map[of]Note{}
	for _, n := range s.notes {
		if n.Kind == Emitted {
			continue
		}
		c := s.flow.Consumer(n.Consumer)
		rule := c.Rule(n.Event.Type)
		if rule == nil {
			continue
		}
		if n.Kind == Applied || n.Kind == Intent || n.Kind == Recorded {
			if u, ok := undone[of{n.Consumer, n.Event.Saga, n.Event.Key}]; ok {
				report("what is undone stays undone", n.Event.Saga, "%s on %s %s: %s after it was undone by %s",
					n.Consumer, n.Event.Type, n.Event.ID, n.Kind, u.Consumer)
			}
		}
		if n.Kind == Applied || n.Kind == Intent || n.Kind == Skipped {
			for _, step := range rule.Undoes {
				undone[of{step, n.Event.Saga, n.Event.Key}] = n
			}
		}
	}
}

// checkTaken: every event was taken by every consumer that reacts to it, no step
// is left, and the watermarks stand at the heads.
func (s *Sim) checkTaken(ctx context.Context, log []logged, report reporter) error {
	taken := map[string]bool{}
	for _, n := range s.notes {
		if n.Kind != Emitted && n.Kind != Intent {
			taken[n.Consumer+" "+n.Event.ID] = true
		}
	}
	rows, err := s.DB.Pool().QueryContext(ctx, `select consumer, event_id, type, saga, state, error from choreo.steps order by id`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var consumer, event, typ, saga, state, why string
		if err := rows.Scan(&consumer, &event, &typ, &saga, &state, &why); err != nil {
			return err
		}
		switch state {
		case "undone", "dropped":
			taken[consumer+" "+event] = true
		case "done", "gave-up":
		default:
			report("no step is forgotten", saga, "the step of %s on %s %s is %s (%s)", consumer, typ, event, state, why)
			taken[consumer+" "+event] = true
		}
	}
	if err := rows.Err(); err != nil {
		return err
	}
	for _, l := range log {
		for _, c := range s.flow.Consumers() {
			if c.Rule(l.typ) == nil || taken[c.Name+" "+l.id] || slices.Contains(strings.Split(l.ranIn, ","), c.Name) {
				continue
			}
			report("every fact is taken", l.saga, "%s never took %s %s (%s, sequence %d)", c.Name, l.typ, l.id, l.stream, l.sequence)
		}
	}
	return s.checkHeads(ctx, report)
}

func (s *Sim) checkHeads(ctx context.Context, report reporter) error {
	heads := map[string]int64{}
	var outbox int
	err := s.DB.Pool().QueryRowContext(ctx, `select count(*) from choreo.outbox`).Scan(&outbox)
	if err != nil {
		return err
	}
	if outbox > 0 {
		report("the outbox is empty", "", "%d facts were never sequenced", outbox)
	}
	rows, err := s.DB.Pool().QueryContext(ctx, `select s.source, s.topic, s.partition, s.head, f.sequence from choreo.streams s
		join choreo.forwarded f on f.stream = s.id`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var source, topic string
		var partition int
		var head, forwarded int64
		if err := rows.Scan(&source, &topic, &partition, &head, &forwarded); err != nil {
			return err
		}
		heads[fmt.Sprintf("%s %s/%d", source, topic, partition)] = head
		if forwarded != head && source == s.DB.Source() { // what an earlier source left is read from the log
			report("everything is forwarded", "", "%s/%d is forwarded up to %d of %d", topic, partition, forwarded, head)
		}
	}
	if err := rows.Err(); err != nil {
		return err
	}
	marks, err := s.DB.Pool().QueryContext(ctx, `select consumer, source, topic, partition, sequence from choreo.watermarks`)
	if err != nil {
		return err
	}
	defer marks.Close()
	for marks.Next() {
		var consumer, source, topic string
		var partition int
		var sequence int64
		if err := marks.Scan(&consumer, &source, &topic, &partition, &sequence); err != nil {
			return err
		}
		if head := heads[fmt.Sprintf("%s %s/%d", source, topic, partition)]; sequence != head {
			report("watermarks stand at the heads", "", "%s has taken %d of %d of %s/%d", consumer, sequence, head, topic, partition)
		}
	}
	return marks.Err()
}
