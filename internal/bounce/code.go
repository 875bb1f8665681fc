package bounce

import (
	"slices"
	"strings"
)

// Codes finds the SMTP code (400 to 599; 0 = none) and the enhanced status code of RFC 3463 ("" = none) in the text of a
// refusal, each the first that is certain. Texts are full of other numbers, so a code must stand like one:
//
//   - an enhanced code is 4 or 5, a subject from 0 to 7, and a detail, not part of an address, version or date;
//   - an SMTP code is 4 or 5, a second digit up to 5 (RFC 5321), and a third, that stands at the start of a line, or before
//     an enhanced code, or behind ";", ": " or a word that announces it (error 550), or alone in brackets, and is not a
//     quantity (500 KB).
func Codes(reason string) (smtp int, enhanced string) {
	for i := 0; i < len(reason) && (smtp == 0 || enhanced == ""); i++ {
		if reason[i] != '4' && reason[i] != '5' || i > 0 && partOfToken(reason[i-1]) {
			continue
		}
		if enhanced == "" {
			enhanced = enhancedAt(reason[i:])
		}
		if smtp == 0 && smtpAt(reason, i) {
			smtp = int(reason[i]-'0')*100 + int(reason[i+1]-'0')*10 + int(reason[i+2]-'0')
		}
	}
	return smtp, enhanced
}

// partOfToken says whether what follows c belongs to a longer word, number, version, address or path.
func partOfToken(c byte) bool {
	return isDigit(c) || isLetter(c) || c == '.' || c == '/' || c == '@' || c == '_' || c >= 0x80
}

// enhancedAt is the enhanced code that s begins with, or "".
func enhancedAt(s string) string {
	if len(s) < len("5.1.1") || s[1] != '.' || s[2] < '0' || s[2] > '7' || s[3] != '.' {
		return ""
	}
	n := 4
	for n < len(s) && isDigit(s[n]) {
		n++
	}
	digits := n - 4
	if digits == 0 || digits > 3 || digits > 1 && s[4] == '0' || !endsAt(s, n) {
		return ""
	}
	return s[:n]
}

// endsAt says whether a code may end before s[n]: a full stop may follow, but not one with more of a number behind it.
func endsAt(s string, n int) bool {
	switch {
	case n == len(s):
		return true
	case s[n] == '.':
		return n+1 == len(s) || !isDigit(s[n+1]) && !isLetter(s[n+1])
	}
	return !partOfToken(s[n]) && s[n] != '%'
}

// smtpAt says whether an SMTP code stands at s[i].
func smtpAt(s string, i int) bool {
	if len(s) < i+3 || s[i+1] < '0' || s[i+1] > '5' || !isDigit(s[i+2]) || !endsAt(s, i+3) {
		return false
	}
	const near = 64 // as far as words that matter may be; so that the work stays linear in the text
	before, after := s[max(0, i-near):i], s[i+3:min(len(s), i+3+near)]
	if enhancedAt(strings.TrimLeft(after, " -#([")) != "" {
		return true
	}
	return announced(before, after) && !quantity(after)
}

// announced says whether what stands around a number makes it an SMTP code.
func announced(before, after string) bool {
	line := before[strings.LastIndexAny(before, "\r\n")+1:]
	trimmed := strings.TrimRight(line, " \t")
	switch {
	case strings.Trim(line, " \t\"'<([#") == "", strings.HasSuffix(trimmed, ";"):
		return true
	case strings.HasSuffix(trimmed, ":"):
		return trimmed != line // host:443 is a port
	case strings.HasSuffix(trimmed, "("):
		return strings.HasPrefix(after, ")")
	case strings.HasSuffix(trimmed, "["):
		return strings.HasPrefix(after, "]")
	}
	word := strings.TrimRight(trimmed, " =#")
	word = strings.ToLower(word[strings.LastIndexFunc(word, func(r rune) bool { return r >= 0x80 || !isLetter(byte(r)) })+1:])
	return slices.Contains([]string{"smtp", "esmtp", "error", "code", "reply", "response", "status", "said", "returned"}, word)
}

// quantity says whether a unit follows the number.
func quantity(after string) bool {
	word := strings.ToLower(strings.TrimLeft(after, " "))
	end := strings.IndexFunc(word, func(r rune) bool { return r < 'a' || r > 'z' })
	if end >= 0 {
		word = word[:end]
	}
	return slices.Contains([]string{"b", "kb", "mb", "gb", "kib", "mib", "bytes", "ms", "s", "sec", "seconds", "minutes", "hours", "days",
		"years", "times", "messages", "mails", "emails", "recipients", "connections", "attempts", "per"}, word)
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }
