package sqlite

import (
	"bytes"
	"context"
	"maps"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"

	"monterey/internal/ingest"
	"monterey/internal/recipient"
)

// lookup is how many hashes one statement looks up.
const lookup = 100

// Recipients implements ingest.WorkspaceTx.
func (w *workspaceTx) Recipients(ctx context.Context, rs []ingest.Recipient) ([]recipient.Ordinal, error) {
	out := make([]recipient.Ordinal, len(rs))
	var missing []int
	for i, r := range rs {
		if o, ok := w.ordinal(r.Hash); ok {
			out[i] = o
		} else {
			missing = append(missing, i)
		}
	}
	slices.SortFunc(missing, func(a, b int) int { return bytes.Compare(rs[a].Hash[:], rs[b].Hash[:]) })
	for part := range slices.Chunk(missing, lookup) {
		if err := w.findRecipients(ctx, rs, part); err != nil {
			return nil, err
		}
	}
	var fresh []int
	for _, i := range missing {
		if o, ok := w.ordinal(rs[i].Hash); ok {
			out[i] = o
		} else {
			fresh = append(fresh, i)
		}
	}
	if len(fresh) == 0 {
		return out, nil
	}
	slices.Sort(fresh) // ordinals in the order of arrival
	first, err := w.next(ctx, "ordinal", len(fresh))
	if err != nil {
		return nil, err
	}
	for n, i := range fresh {
		out[i] = recipient.Ordinal(first + int64(n))
		w.found[rs[i].Hash] = out[i]
	}
	return out, w.addRecipients(ctx, rs, fresh, out)
}

// ordinalsSQL finds recipients by their hashes, which stand one after another in a blob.
const ordinalsSQL = `WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?)
	SELECT n.i, r.ordinal FROM n CROSS JOIN recipients r ON r.workspace = ? AND r.hash = substr(?, n.i * 16 + 1, 16)`

// ordinalsOf are the recipients with these normalised addresses, 0 for one who is not known. Those who are not in the cache are
// looked for in the order of the index: of many in a large dictionary that reads each of its pages once.
func (v *view) ordinalsOf(ctx context.Context, key []byte, addresses []string) ([]int64, error) {
	ordinals := make([]int64, len(addresses))
	type hashed struct {
		recipient.Hash
		at int
	}
	var missing []hashed
	all := recipient.HashesOf(key, addresses)
	for i, o := range v.recipients.All(v.ws, all) {
		if ordinals[i] = int64(o); o == 0 {
			missing = append(missing, hashed{all[i], i})
		}
	}
	if len(missing) == 0 {
		return ordinals, nil
	}
	slices.SortFunc(missing, func(a, b hashed) int { return bytes.Compare(a.Hash[:], b.Hash[:]) })
	hashes := make([]byte, 0, 16*len(missing))
	for i := range missing {
		hashes = append(hashes, missing[i].Hash[:]...)
	}
	found := map[recipient.Hash]recipient.Ordinal{}
	var i, o int64
	err := v.each(ctx, func(r row) error {
		err := r.Scan(&i, &o)
		ordinals[missing[i].at] = o
		found[missing[i].Hash] = recipient.Ordinal(o)
		return err
	}, ordinalsSQL, len(missing), v.ws, hashes)
	if err == nil {
		v.recipients.Add(v.ws, found)
	}
	return ordinals, err
}

func (w *workspaceTx) ordinal(h recipient.Hash) (recipient.Ordinal, bool) {
	if o, ok := w.found[h]; ok {
		return o, true
	}
	return w.t.s.recipients.Get(w.ws, h)
}

func (w *workspaceTx) findRecipients(ctx context.Context, rs []ingest.Recipient, part []int) error {
	args := make([]any, 0, lookup+1)
	args = append(args, w.ws)
	for n := range lookup { // a full statement always, so that one is prepared
		args = append(args, rs[part[min(n, len(part)-1)]].Hash[:])
	}
	return w.each(ctx, func(r row) error {
		var hash []byte
		var o int64
		if err := r.Scan(&hash, &o); err != nil {
			return err
		}
		w.found[recipient.Hash(hash)] = recipient.Ordinal(o)
		return nil
	}, "SELECT hash, ordinal FROM recipients WHERE workspace = ? AND hash IN ("+placeholders("?", lookup)+")", args...)
}

func (w *workspaceTx) addRecipients(ctx context.Context, rs []ingest.Recipient, fresh []int, ordinals []recipient.Ordinal) error {
	domains := map[int64]map[string]*roaring.Bitmap{} // by chunk and name
	hashes, names := make([]any, 0, 3*len(fresh)), make([]any, 0, 3*len(fresh))
	for _, i := range fresh {
		o := int64(ordinals[i])
		names = append(names, w.ws, o, rs[i].Address)
		chunk, name := o>>16, recipient.Domain(rs[i].Address)
		if domains[chunk] == nil {
			domains[chunk] = map[string]*roaring.Bitmap{}
		}
		if domains[chunk][name] == nil {
			domains[chunk][name] = roaring.New()
		}
		domains[chunk][name].Add(uint32(o))
	}
	if err := w.insertMany(ctx, "addresses (workspace, ordinal, address)", 3, names); err != nil {
		return err
	}
	slices.SortFunc(fresh, func(a, b int) int { return bytes.Compare(rs[a].Hash[:], rs[b].Hash[:]) })
	for _, i := range fresh {
		hashes = append(hashes, w.ws, rs[i].Hash[:], int64(ordinals[i]))
	}
	if err := w.insertMany(ctx, "recipients (workspace, hash, ordinal)", 3, hashes); err != nil {
		return err
	}
	for chunk, sets := range domains {
		if err := w.addDomains(ctx, chunk, sets); err != nil {
			return err
		}
	}
	return nil
}

// addDomains adds recipients of a chunk to those of their domains.
func (w *workspaceTx) addDomains(ctx context.Context, chunk int64, sets map[string]*roaring.Bitmap) error {
	names := slices.Sorted(maps.Keys(sets))
	err := w.each(ctx, func(r row) error {
		var name string
		var members []byte // not sql.RawBytes: the set goes on using it
		if err := r.Scan(&name, &members); err != nil {
			return err
		}
		before := roaring.New()
		if _, err := before.FromBuffer(members); err != nil {
			return err
		}
		sets[name].Or(before)
		return nil
	}, "SELECT domain, members FROM domains WHERE workspace = ? AND chunk = ? AND domain IN (SELECT value FROM json_each(?))", w.ws, chunk, listJSON(names))
	if err != nil {
		return err
	}
	rows := make([]any, 0, 4*len(names))
	for _, name := range names {
		sets[name].RunOptimize()
		members, err := sets[name].ToBytes()
		if err != nil {
			return err
		}
		rows = append(rows, w.ws, chunk, name, members)
	}
	return w.insertAll(ctx, "INSERT OR REPLACE INTO domains (workspace, chunk, domain, members)", 4, rows, "")
}
