package joiner

// drain enters the waiting entries under the join keys of their new rows. Entries are never taken out
// again: whoever finds one checks that its row still has the key.
func (b *Batch) drain(t *table) {
	o := &b.tables[t.slot]
	if len(o.waiting) == 0 {
		return
	}
	if o.added == nil {
		o.added = make([]map[string][]*entry, len(t.indexes)+len(t.prefix))
		for i := range o.added {
			o.added[i] = map[string][]*entry{}
		}
	}
	for _, n := range o.waiting {
		for i := range o.added {
			x := t.indexAt(i)
			key, ok := x.appendEntry(b.joinOld[:0], n.new)
			b.joinOld = key
			if !ok {
				continue
			}
			have, found := o.added[i][string(key)]
			if n.listed && contains(have, n) {
				continue
			}
			if !found {
				o.added[i][b.arena.text(key)] = []*entry{n}
				b.mem += 80 + len(key)
				continue
			}
			o.added[i][string(key)] = append(have, n)
		}
		n.queued, n.listed = false, true
	}
	o.waiting = o.waiting[:0]
}

func contains(list []*entry, n *entry) bool {
	for _, m := range list {
		if m == n {
			return true
		}
	}
	return false
}

func (t *table) indexAt(place int) *index {
	if place < len(t.indexes) {
		return t.indexes[place]
	}
	return t.prefix[place-len(t.indexes)]
}
