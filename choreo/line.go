package choreo

import "slices"

// SharesLines tells whether events of one line may come to it side by side: from
// several topics or partitions, or later than they arrived.
func (c *Consumer) SharesLines() bool {
	return len(c.Topics()) > 1 || slices.ContainsFunc(c.rules, func(r *Rule) bool { return r.OwnLine || r.After > 0 })
}

// record finds the reactions whose steps are kept when they are done, and the
// consumers that run in the transactions of others.
func (f *Flow) record() {
	for _, name := range f.order {
		c := f.consumers[name]
		if slices.ContainsFunc(c.rules, func(r *Rule) bool { return r.InTransaction }) {
			f.insiders = append(f.insiders, c)
		}
		for _, r := range c.rules {
			r.Recorded = len(f.undoneBy[c.Name]) > 0 || slices.ContainsFunc(r.Undoes, f.Asks)
		}
	}
}
