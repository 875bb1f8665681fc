package recipient

import (
	"crypto/hmac"
	"crypto/sha256"
	"strings"
	"testing"
)

// Every stored recipient is found by this hash: it must stay as it is, also of one of many.
func TestHashesOf(t *testing.T) {
	key, addresses := []byte("key of a workspace"), []string{"bob@example.com", "", strings.Repeat("x", 300) + "@example.com", "bob@example.com", "ü@example.com"}
	for i, got := range HashesOf(key, addresses) {
		m := hmac.New(sha256.New, key)
		m.Write([]byte("recipient\x00" + addresses[i]))
		if want := Hash(m.Sum(nil)[:16]); got != want || HashOf(key, addresses[i]) != want {
			t.Errorf("%q: %x, want %x", addresses[i], got, want)
		}
	}
}
