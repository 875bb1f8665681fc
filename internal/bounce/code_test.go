package bounce

import (
	"strings"
	"testing"
)

func TestCodes(t *testing.T) {
	tests := []struct {
		reason   string
		smtp     int
		enhanced string
	}{
		{"", 0, ""},
		{"smtp;550 5.1.1 <x@example.com>: Recipient address rejected: User unknown in virtual mailbox table", 550, "5.1.1"},
		{"smtp; 550 5.1.1 user unknown", 550, "5.1.1"},
		{"550-5.7.1 [203.0.113.9      12] Our system has detected that this message is\r\n550-5.7.1 likely unsolicited mail.", 550, "5.7.1"},
		{"550-5.1.1 The email account that you tried to reach does not exist.", 550, "5.1.1"},
		{"550 5.7.520 Access denied, Your organization does not allow external forwarding. AS(7555)", 550, "5.7.520"},
		{"452 4.2.2 The email account that you tried to reach is over quota", 452, "4.2.2"},
		{"421-4.7.0 Try again later, closing connection.", 421, "4.7.0"},
		{"host mx1.example.com[192.0.2.25] said: 554 5.7.1 Service unavailable; Client host [198.51.100.4] blocked using zen", 554, "5.7.1"},
		{"SMTP error from remote mail server after RCPT TO:<x@example.com>: 550 No such user here", 550, ""},
		{"Remote server returned '550 5.4.1 Recipient address rejected: Access denied'", 550, "5.4.1"},
		{"<x@example.com>... 550 #5.1.0 Address rejected.", 550, "5.1.0"},
		{"smtp;550 #5.1.0 Address rejected", 550, "5.1.0"},
		{"delivery failed (550)", 550, ""},
		{"delivery failed [#5.1.1]", 0, "5.1.1"},
		{"error 451 greylisted", 451, ""},
		{"dsn=5.2.2, status=552", 552, "5.2.2"},
		{"The mailbox is full (5.2.2).", 0, "5.2.2"},
		{"Status: 5.1.1.", 0, "5.1.1"},
		{"\"550 mailbox unavailable\"", 550, ""},
		{"Transcript follows\r\n  550 mailbox unavailable", 550, ""},
		{"Diagnostic-Code: smtp;554 delivery error: dd This user doesn't have a yahoo.com account (x@yahoo.com) [0]", 554, ""},
		{"550 permanent failure for one or more recipients (x@example.com:blocked)", 550, ""},
		{"450 4.7.1 then at last 550 5.7.1", 450, "4.7.1"}, // the first

		// numbers that are no codes
		{"Client host [5.1.1.7] blocked", 0, ""},
		{"Client host 10.5.1.1 blocked", 0, ""},
		{"Client host [192.0.2.550] rejected", 0, ""},
		{"rejected by 550.example.com", 0, ""},
		{"rejected since 2024-05-10, years 2025 and 4500", 0, ""},
		{"since 5.1.2024 no mail is taken", 0, ""},
		{"Exim 4.94.2 on mail.example.com", 0, ""},
		{"postfix v5.1.1 and Exchange/5.1.1", 0, ""},
		{"network 5.1.1/24 is listed", 0, ""},
		{"message size exceeds 500 MB", 0, ""},
		{"Size limit: 500 KB", 0, ""},
		{"450 messages per hour are allowed", 0, ""},
		{"no answer from mx.example.com:443", 0, ""},
		{"no answer on port 443", 0, ""},
		{"queue id 450ABC12DE, code 4500", 0, ""},
		{"error 587", 0, ""},    // no second digit of SMTP
		{"error 250 ok", 0, ""}, // no failure
		{"2.1.5 ok", 0, ""},     // no failure
		{"5.8.1 no", 0, ""},     // no such subject
		{"5.1.01 no", 0, ""},    // leading zero
		{"5.1.1234 no", 0, ""},  // four digits
		{"5.1.", 0, ""},         // cut off
		{"55", 0, ""},           // cut off
		{"5.1.1@example.com is unknown", 0, ""},
	}
	for _, tt := range tests {
		if smtp, enhanced := Codes(tt.reason); smtp != tt.smtp || enhanced != tt.enhanced {
			t.Errorf("Codes(%q) = %d, %q, want %d, %q", tt.reason, smtp, enhanced, tt.smtp, tt.enhanced)
		}
	}
}

func FuzzCodes(f *testing.F) {
	f.Add("smtp;550 5.1.1 <x@example.com>: Recipient address rejected")
	f.Add("host mx[192.0.2.25] said: 554-5.7.1 (450)")
	f.Fuzz(func(t *testing.T, reason string) {
		smtp, enhanced := Codes(reason)
		if smtp != 0 && (smtp < 400 || smtp > 559) {
			t.Errorf("Codes(%q) = %d, which is no SMTP code of a failure", reason, smtp)
		}
		if enhanced != "" && (!strings.Contains(reason, enhanced) || enhancedAt(enhanced) != enhanced) {
			t.Errorf("Codes(%q) = %q, which is no enhanced code in it", reason, enhanced)
		}
	})
}
