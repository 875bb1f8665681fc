package postgres

import (
	"bytes"
	"cmp"
	"context"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/google/uuid"

	"monterey/internal/ingest"
	"monterey/internal/recipient"
)

// Recipients implements ingest.WorkspaceTx.
func (w *workspaceTx) Recipients(ctx context.Context, rs []ingest.Recipient) ([]recipient.Ordinal, error) {
	out := make([]recipient.Ordinal, len(rs))
	fill := func(all []int) (missing []int) {
		for _, i := range all {
			if o, ok := w.ordinal(rs[i].Hash); ok {
				out[i] = o
			} else {
				missing = append(missing, i)
			}
		}
		return missing
	}
	all := make([]int, len(rs))
	for i := range all {
		all[i] = i
	}
	missing := fill(all)
	if err := w.findRecipients(ctx, rs, missing); err != nil {
		return nil, err
	}
	fresh := fill(missing) // in the order of arrival, and so their ordinals
	if len(fresh) == 0 {
		return out, nil
	}
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

func (w *workspaceTx) ordinal(h recipient.Hash) (recipient.Ordinal, bool) {
	if o, ok := w.found[h]; ok {
		return o, true
	}
	return w.t.s.recipients.Get(w.ws, h)
}

// findRecipients looks for recipients in the order of the index: of many in a large dictionary that reads each page once.
func (w *workspaceTx) findRecipients(ctx context.Context, rs []ingest.Recipient, of []int) error {
	if len(of) == 0 {
		return nil
	}
	hashes := make([]uuid.UUID, len(of))
	for n, i := range of {
		hashes[n] = uuid.UUID(rs[i].Hash)
	}
	slices.SortFunc(hashes, func(a, b uuid.UUID) int { return bytes.Compare(a[:], b[:]) })
	var hash uuid.UUID
	var o int64
	dest := []any{&hash, &o}
	return w.each(ctx, func(r row) error {
		err := r.Scan(dest...)
		w.found[recipient.Hash(hash)] = recipient.Ordinal(o)
		return err
	}, `SELECT r.hash, r.ordinal FROM unnest($2::uuid[]) AS h (hash) CROSS JOIN LATERAL
		(SELECT hash, ordinal FROM recipients WHERE workspace_id = $1 AND hash = h.hash OFFSET 0) AS r`, w.ws, hashes)
}

// domainKey names a row of domains.
type domainKey struct {
	chunk int64
	name  string
}

func (w *workspaceTx) addRecipients(ctx context.Context, rs []ingest.Recipient, fresh []int, ordinals []recipient.Ordinal) error {
	domains := map[domainKey]*roaring.Bitmap{}
	numbers, addresses := make([]int32, len(fresh)), make([]string, len(fresh))
	for n, i := range fresh {
		o := int64(ordinals[i])
		numbers[n], addresses[n] = int32(o), rs[i].Address
		k := domainKey{o >> 16, recipient.Domain(rs[i].Address)}
		if domains[k] == nil {
			domains[k] = roaring.New()
		}
		domains[k].Add(uint32(o))
	}
	if _, err := w.exec(ctx, `INSERT INTO addresses (workspace_id, ordinal, address) SELECT $1, a.ordinal, a.address
		FROM unnest($2::integer[], $3::text[]) AS a (ordinal, address)`, w.ws, numbers, addresses); err != nil {
		return err
	}
	sorted := slices.Clone(fresh)
	slices.SortFunc(sorted, func(a, b int) int { return bytes.Compare(rs[a].Hash[:], rs[b].Hash[:]) })
	hashes := make([]uuid.UUID, len(sorted))
	for n, i := range sorted {
		hashes[n], numbers[n] = uuid.UUID(rs[i].Hash), int32(ordinals[i])
	}
	if _, err := w.exec(ctx, `INSERT INTO recipients (workspace_id, hash, ordinal) SELECT $1, r.hash, r.ordinal
		FROM unnest($2::uuid[], $3::integer[]) AS r (hash, ordinal)`, w.ws, hashes, numbers); err != nil {
		return err
	}
	return w.addDomains(ctx, domains)
}

// addDomains adds recipients to those of their domains.
func (w *workspaceTx) addDomains(ctx context.Context, sets map[domainKey]*roaring.Bitmap) error {
	keys := make([]domainKey, 0, len(sets))
	for k := range sets {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b domainKey) int { return cmp.Or(cmp.Compare(a.name, b.name), cmp.Compare(a.chunk, b.chunk)) })
	chunks, names := make([]int64, len(keys)), make([]string, len(keys))
	for i, k := range keys {
		chunks[i], names[i] = k.chunk, k.name
	}
	err := w.each(ctx, func(r row) error {
		var k domainKey
		var members []byte // a copy: the set goes on using it
		if err := r.Scan(&k.name, &k.chunk, &members); err != nil {
			return err
		}
		before := roaring.New()
		if _, err := before.FromBuffer(members); err != nil {
			return err
		}
		sets[k].Or(before)
		return nil
	}, `SELECT d.domain, d.chunk, d.members FROM unnest($2::text[], $3::integer[]) AS k (domain, chunk)
		JOIN domains d ON d.workspace_id = $1 AND d.domain = k.domain AND d.chunk = k.chunk`, w.ws, names, chunks)
	if err != nil {
		return err
	}
	members := make([][]byte, len(keys))
	for i, k := range keys {
		sets[k].RunOptimize()
		if members[i], err = sets[k].ToBytes(); err != nil {
			return err
		}
	}
	_, err = w.exec(ctx, `INSERT INTO domains (workspace_id, domain, chunk, members) SELECT $1, d.domain, d.chunk, d.members
		FROM unnest($2::text[], $3::integer[], $4::bytea[]) AS d (domain, chunk, members)
		ON CONFLICT (workspace_id, domain, chunk) DO UPDATE SET members = excluded.members`, w.ws, names, chunks, members)
	return err
}
