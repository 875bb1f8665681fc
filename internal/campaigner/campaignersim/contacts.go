package campaignersim

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

type company struct{ name, domain string }

// Domains of companies end in .example, which nobody can own (RFC 2606).
var companies = [...]company{{"Larkfield Outdoor", "larkfield-outdoor.example"}, {"Solstice & Pine", "solsticepine.example"},
	{"Harbour Street Books", "harbourstreetbooks.example"}, {"Kestrel Coffee Roasters", "kestrelcoffee.example"}}

var firstNames = [...]string{"Anna", "James", "María", "Liam", "Sophie", "Noah", "Zoë", "Mohammed", "Emma", "Lukas", "Olivia", "Jürgen",
	"Chloe", "David", "Ingrid", "Priya", "Tomasz", "Grace", "Renée", "Daniel", "Yuki", "Sarah", "Oscar", "Fatima", "Peter", "Hannah",
	"Diego", "Katarzyna", "Michael", "Laura", "Søren", "Emily", "Ahmed", "Julia", "Robert", "Camille", "Ethan", "Nora", "Paul", "Ava"}

var lastNames = [...]string{"Schmidt", "Smith", "García", "O'Brien", "Müller", "Johnson", "Nguyen", "Kowalski", "Brown", "Rossi", "Larsen",
	"Patel", "Dubois", "Williams", "Novák", "Tanaka", "Miller", "Hernández", "Fischer", "Davis", "van Dijk", "Andersson", "Khan", "Wilson",
	"Moreau", "Becker", "Taylor", "Silva", "Jansen", "Clark", "Weber", "Lewis", "Haddad", "Young", "Costa", "Walker", "Keller", "Hill"}

var cities = [...]struct {
	name  string
	hours int // east of UTC, in winter: near enough for when people read mail
}{{"New York", -5}, {"Boston", -5}, {"Chicago", -6}, {"Denver", -7}, {"San Francisco", -8}, {"Toronto", -5}, {"London", 0}, {"Berlin", 1},
	{"München", 1}, {"Paris", 1}, {"Kraków", 1}, {"São Paulo", -3}, {"Sydney", 10}}

// mailDomains that anybody may have an address at, with their share in 1,000; the rest are companies'.
var mailDomains = [...]struct {
	name  string
	share int
}{{"gmail.com", 390}, {"outlook.com", 90}, {"hotmail.com", 70}, {"yahoo.com", 110}, {"icloud.com", 70}, {"aol.com", 20}, {"gmx.de", 25},
	{"web.de", 15}}

var employers = [...]string{"northgate-logistics", "bluepeak-insurance", "fernhill-school", "acme-engineering", "rivertown-council",
	"halcyon-software", "meridian-law", "st-brigid-hospital", "oakline-furniture", "tessera-bank", "quayside-hotels", "vantage-media",
	"orchard-foods", "ironbridge-steel", "polaris-airlines", "summit-dental", "kite-robotics", "willowbank-farms", "castellan-security",
	"delta-pharma"}

// profile is how somebody treats mail.
type profile struct {
	open, click float64   // the chance to open a mail, and to click in one that was opened
	deadFrom    time.Time // from when there is no such mailbox; zero = there is
	scanner     bool      // the company's gateway follows the links of incoming mail
	zone        *time.Location
}

// contactMaker makes contacts with addresses of their own.
type contactMaker struct {
	*rand.Rand
	begin time.Time
	span  time.Duration // of the history
	taken map[string]bool
}

func (m *contactMaker) contact(index int) Contact {
	first, last := pick(m.Rand, firstNames[:]), pick(m.Rand, lastNames[:])
	city := pick(m.Rand, cities[:])
	domain, isCompany := m.domain()
	p := profile{zone: time.FixedZone("", city.hours*3600)}
	switch n := m.IntN(1000); { // some were never right, some go stale
	case n < 6:
		p.deadFrom = m.begin
	case n < 26:
		p.deadFrom = m.begin.Add(time.Duration(m.Float64() * float64(m.span)))
	}
	switch n := m.IntN(100); { // a list has readers, passers-by and sleepers
	case n < 20:
		p.open, p.click = 0.62, 0.22
	case n < 72:
		p.open, p.click = 0.21, 0.11
	default:
		p.open, p.click = 0.02, 0.05
	}
	p.scanner = isCompany && scans(domain)
	return Contact{EmailID: 31_000_000 + int64(index)*7 + 3, Address: m.address(first, last, domain), First: first, Last: last,
		City: city.name, IP: readerIP(index), Joined: m.begin, profile: p, Successor: -1}
}

func (m *contactMaker) domain() (name string, isCompany bool) {
	n := m.IntN(1000)
	for _, d := range mailDomains {
		if n -= d.share; n < 0 {
			return d.name, false
		}
	}
	return pick(m.Rand, employers[:]) + ".example", true
}

// scans tells whether a company's gateway looks at links: a quarter do.
func scans(domain string) bool { return (len(domain)+int(domain[0]))%4 == 0 }

// address is one that nobody has yet, whatever its case.
func (m *contactMaker) address(first, last, domain string) string {
	f, l := ascii(first), ascii(last)
	local := pick(m.Rand, []string{f + "." + l, f + "." + l, f[:1] + l, f + l, f + "_" + l, l + "." + f})
	for n := 0; ; n++ {
		address := local + "@" + domain
		if n > 0 {
			address = fmt.Sprintf("%s%d@%s", local, 2+m.IntN(98+40*n), domain)
		}
		if m.taken[address] {
			continue
		}
		m.taken[address] = true
		if m.IntN(25) == 0 {
			address = strings.ToUpper(address[:1]) + address[1:]
		}
		return address
	}
}

var plainLetters = strings.NewReplacer("í", "i", "ö", "o", "ü", "u", "ë", "e", "é", "e", "ø", "o", "á", "a", "ã", "a", "ã", "a", "'", "", " ", "")

func ascii(name string) string { return plainLetters.Replace(strings.ToLower(name)) }

// readerIP is an address of the ranges kept for documentation (RFC 5737, RFC 3849).
func readerIP(n int) string {
	switch n % 4 {
	case 0:
		return fmt.Sprintf("192.0.2.%d", n/4%254+1)
	case 1:
		return fmt.Sprintf("198.51.100.%d", n/4%254+1)
	case 2:
		return fmt.Sprintf("203.0.113.%d", n/4%254+1)
	}
	return fmt.Sprintf("2001:db8:%x::%x", n/4%65535, n%251+1)
}

func pick[T any](rng *rand.Rand, from []T) T { return from[rng.IntN(len(from))] }

func domainOf(address string) string {
	return strings.ToLower(address[strings.LastIndexByte(address, '@')+1:])
}
