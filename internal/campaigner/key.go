package campaigner

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/url"
	"strings"
	"unicode/utf8"
)

// Key opens an account's API. However it is formatted or encoded, it prints as "[key]".
type Key string

const keyShown = "[key]"

// Format is for every verb of fmt.
func (Key) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, keyShown) } // f keeps its errors itself

// MarshalText is for what encodes: encoding/json, log/slog.
func (Key) MarshalText() ([]byte, error) { return []byte(keyShown), nil }

// blank takes the key out of a text, plain, in another case, or encoded as in URLs or headers.
func (k Key) blank(s string) string {
	if k == "" {
		return s
	}
	plain := string(k)
	for _, form := range []string{plain, url.QueryEscape(plain), url.PathEscape(plain), base64.StdEncoding.EncodeToString([]byte(plain)),
		base64.RawURLEncoding.EncodeToString([]byte(plain))} {
		s = replaceFold(s, form)
	}
	return s
}

// replaceFold blanks form in s without regard to the case of ASCII letters.
func replaceFold(s, form string) string {
	lower, lowerForm := lowerASCII(s), lowerASCII(form)
	var b strings.Builder
	for {
		at := strings.Index(lower, lowerForm)
		if at < 0 {
			return b.String() + s
		}
		b.WriteString(s[:at] + keyShown)
		s, lower = s[at+len(form):], lower[at+len(form):]
	}
}

// lowerASCII keeps every byte's place, which strings.ToLower does not.
func lowerASCII(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

// clean makes a text of the provider safe to show: without the key, on one line, bounded, in valid UTF-8.
func (k Key) clean(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || 0x80 <= r && r < 0xa0 || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(k.blank(s), "\ufffd"))
	s = strings.TrimSpace(s)
	if len(s) <= maxQuoted {
		return s
	}
	cut := maxQuoted
	for !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}
