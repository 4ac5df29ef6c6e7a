package choreo

import "slices"

// SharesLines tells whether events of one line may come to it side by side: from
// several topics or partitions, or later than they arrived.
func (c *Consumer) SharesLines() bool {
	return len(c.Topics()) > 1 || slices.ContainsFunc(c.rules, func(r *Rule) bool { return r.OwnLine || r.After > 0 })
}

// record finds the reactions whose steps are kept when they are done.
func (f *Flow) record() {
	for _, c := range f.consumers {
		for _, r := range c.rules {
			r.Recorded = len(f.undoneBy[c.Name]) > 0 || slices.ContainsFunc(r.Undoes, f.Asks)
		}
	}
}
