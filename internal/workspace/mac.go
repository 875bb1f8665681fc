package workspace

import (
	"crypto/hmac"
	"crypto/sha256"
	"hash"
)

// MAC is the HMAC-SHA-256 under a workspace's identity key of which ids and hashes are made. To work the key in takes four fifths
// of the time of one, so who makes many keeps it. It belongs to one goroutine.
type MAC struct {
	hash      hash.Hash
	text, sum []byte
}

// NewMAC works the key in.
func NewMAC(identityKey []byte) *MAC { return &MAC{hash: hmac.New(sha256.New, identityKey)} }

// Sum is that of the parts, with a zero byte between each two; it is valid until the next.
func (m *MAC) Sum(parts ...string) []byte {
	m.text = m.text[:0]
	for i, p := range parts {
		if i > 0 {
			m.text = append(m.text, 0)
		}
		m.text = append(m.text, p...)
	}
	m.hash.Reset()
	m.hash.Write(m.text)
	m.sum = m.hash.Sum(m.sum[:0])
	return m.sum
}
