// Package recipient owns the dictionary of addresses of a workspace: what makes two spellings one recipient, the number
// (ordinal) that stands for a recipient in events and bitmaps, and the keyed hash under which a recipient is found.
package recipient

import (
	"strings"

	"monterey/internal/workspace"
)

// Ordinal is a recipient's number in its workspace: dense, from 1, never used again.
type Ordinal uint32

// Hash finds a recipient: an HMAC of the normalised address under the workspace's identity key. It stays when the
// address is erased, so a late duplicate still finds its recipient and brings nothing back.
type Hash [16]byte

// Normalise is the one form of an address: trimmed of white space, lower case.
func Normalise(address string) string { return strings.ToLower(strings.TrimSpace(address)) }

// HashOf is the hash of a normalised address.
func HashOf(key []byte, address string) Hash { return HashWith(workspace.NewMAC(key), address) }

// HashesOf are the hashes of normalised addresses.
func HashesOf(key []byte, addresses []string) []Hash {
	m, out := workspace.NewMAC(key), make([]Hash, len(addresses))
	for i, a := range addresses {
		out[i] = HashWith(m, a)
	}
	return out
}

// HashWith is HashOf under the key of m.
func HashWith(m *workspace.MAC, address string) (h Hash) {
	copy(h[:], m.Sum("recipient", address))
	return h
}

// Domain of a normalised address: what follows its last "@"; the whole of what has none.
func Domain(address string) string {
	return address[strings.LastIndexByte(address, '@')+1:]
}
