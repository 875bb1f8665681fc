package campaignersim

import (
	"fmt"
	"math/rand/v2"
)

// refusal is what a receiving server says; %s is the address.
type refusal struct {
	ndr  int
	text string
}

var hardRefusals = map[string][]refusal{
	"gmail.com": {{10, "550-5.1.1 The email account that you tried to reach does not exist. Please try double-checking the recipient's email address for typos or unnecessary spaces. For more information, go to https://support.google.com/mail/?p=NoSuchUser 98e67ed59e1d1-31c1e5a - gsmtp"},
		{10, "552-5.2.1 The email account that you tried to reach is inactive. - gsmtp"}},
	"yahoo.com": {{10, "554 delivery error: dd This user doesn't have a yahoo.com account (%s) [0] - mta4401.mail.ne1.yahoo.com"},
		{10, "554 30 Sorry, your message to %s cannot be delivered. This mailbox is disabled (554.30)."}},
	"outlook.com": {{10, "550 5.5.0 Requested action not taken: mailbox unavailable (S2017062302). [DM6NAM11FT021.eop-nam11.prod.protection.outlook.com]"}},
	"hotmail.com": {{10, "550 5.5.0 Requested action not taken: mailbox unavailable (S2017062302). [BN8NAM12FT057.eop-nam12.prod.protection.outlook.com]"}},
	"icloud.com":  {{10, "550 5.1.1 <%s>: user does not exist"}},
	"":            {{10, "550 5.1.1 <%s>: Recipient address rejected: User unknown in virtual mailbox table"}, {10, "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient %s not found by SMTP address lookup"}, {20, "550 5.4.1 Recipient address rejected: Access denied. AS(201806281)"}, {20, "smtp; 5.1.2 (bad destination system: no such domain)"}, {10, "550 No such user here"}},
}

var softRefusals = []refusal{{60, "452 4.2.2 The recipient's mailbox is full: %s"}, {70, "451 4.7.1 Greylisting in action, please come back later"},
	{60, "452-4.2.2 The recipient's inbox is out of storage space. - gsmtp"}, {50, "421 4.4.2 Connection timed out"},
	{70, "421 4.7.0 [TSS04] Messages temporarily deferred due to unexpected volume or user complaints"},
	{30, "550 5.7.1 Message rejected as spam by content filtering"}}

func hardRefusal(rng *rand.Rand, address string) (ndr int, text string) {
	of, ok := hardRefusals[domainOf(address)]
	if !ok {
		of = hardRefusals[""]
	}
	return pick(rng, of).to(address)
}

func softRefusal(rng *rand.Rand, address string) (ndr int, text string) {
	return pick(rng, softRefusals).to(address)
}

func (r refusal) to(address string) (ndr int, text string) {
	for i := range len(r.text) - 1 {
		if r.text[i:i+2] == "%s" {
			return r.ndr, fmt.Sprintf(r.text, address)
		}
	}
	return r.ndr, r.text
}
