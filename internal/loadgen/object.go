package loadgen

import "strconv"

var firstNames = [16]string{"anna", "james", "maria", "liam", "sophie", "noah", "emma", "lukas", "olivia", "david", "ingrid", "priya",
	"tomasz", "grace", "daniel", "sarah"}

var lastNames = [16]string{"schmidt", "smith", "garcia", "obrien", "mueller", "johnson", "nguyen", "kowalski", "brown", "rossi", "larsen",
	"patel", "dubois", "williams", "novak", "tanaka"}

var domains = [16]string{"gmail.com", "gmail.com", "gmail.com", "gmail.com", "gmail.com", "outlook.com", "outlook.com", "yahoo.com",
	"yahoo.com", "hotmail.com", "icloud.com", "gmx.de", "northgate.example", "bluepeak.example", "fernhill.example", "tessera.example"}

var links = [8]string{"sale", "sale/women", "sale/men", "new", "stores", "gift-cards", "story/slow-winter", "app"}

var reasons = [4]string{"550 5.1.1 User unknown", "550-5.1.1 The email account that you tried to reach does not exist. - gsmtp",
	"554 delivery error: dd This user doesn't have a yahoo.com account", "550 5.5.0 Requested action not taken: mailbox unavailable"}

// AppendAddress appends the address of a recipient, in lower case.
func AppendAddress(b []byte, recipient int) []byte {
	h := mix(0xadd7e55, recipient)
	b = append(b, firstNames[h&15]...)
	b = append(b, '.')
	b = append(b, lastNames[h>>4&15]...)
	b = strconv.AppendInt(b, int64(recipient), 10)
	b = append(b, '@')
	return append(b, domains[h>>8&15]...)
}

// AppendBody appends the events of the numbers from first on, one a line.
func (g *Generator) AppendBody(b []byte, first, events int) []byte {
	for i := first; i < first+events; i++ {
		b = g.appendObject(b, i, g.Event(i))
		b = append(b, '\n')
	}
	return b
}

// appendObject writes the webhook's fields in the order in which the provider's documents list them.
func (g *Generator) appendObject(b []byte, i int, e Event) []byte {
	var at [19]byte
	putTime(&at, e.At)
	b = append(b, `{"id":`...)
	b = strconv.AppendInt(b, int64(500_000_000+i), 10)
	b = append(b, `,"key":"`...)
	b = append(b, g.w.Key...)
	b = append(b, `","type":"`...)
	b = append(b, typeNames[e.Kind]...)
	b = append(b, `","updated_via":"System","queuedWhen":"`...)
	b = append(b, at[:]...)
	b = append(b, `.8901234Z","timestamp":"`...)
	b = append(b, at[:]...)
	b = append(b, `.1234567Z"`...)
	if e.Recipient >= 0 {
		b = append(b, `,"email":"`...)
		b = AppendAddress(b, e.Recipient)
		b = append(b, statuses[e.Kind]...)
		b = append(b, `,"custom_fields":{"First Name":"Anna","Last Name":"Schmidt","City":"Berlin"}`...)
	}
	switch e.Kind {
	case Click:
		b = append(b, `,"click_url":"https://www.larkfield-outdoor.example/`...)
		b = append(b, links[e.Link]...)
		b = append(b, `?utm_source=campaigner&utm_medium=email","clicked_on":"`...)
		b = append(b, at[:]...)
		b = append(b, `Z"`...)
	case Open:
		b = append(b, `,"opened_at":"`...)
		b = append(b, at[:]...)
		b = append(b, `Z"`...)
	case SendingStart:
		b = append(b, `,"sending_started":"`...)
		b = append(b, at[:]...)
		b = append(b, `Z"`...)
	case Sent:
		b = append(b, `,"sent":`...)
		b = strconv.AppendInt(b, int64(g.size[e.Campaign]), 10)
	}
	if e.Kind != Subscribe {
		b = append(b, `,"campaign_id":`...)
		b = strconv.AppendInt(b, int64(CampaignID(e.Campaign)), 10)
	}
	if e.Kind == Bounce {
		b = append(b, `,"reason":"`...)
		b = append(b, reasons[e.Recipient&3]...)
		b = append(b, '"')
	}
	b = append(b, `,"ip":"203.0.113.`...)
	b = strconv.AppendInt(b, int64(e.Recipient&127), 10)
	b = append(b, '"')
	switch e.Kind {
	case Click:
		b = append(b, `,"ip_created":"","url_id":`...)
		b = strconv.AppendInt(b, int64(CampaignID(e.Campaign)*10+e.Link), 10)
	case Open:
		b = append(b, `,"ip_created":""`...)
	}
	return append(b, '}')
}

var typeNames = [...]string{Open: "Campaign Opened", Click: "Campaign Clicked", Bounce: "Contact Bounced", Unsubscribe: "List-Unsubscribe",
	Subscribe: "List Subscribe", SendingStart: "Campaign Sending Started", Sent: "Campaign Sent"}

var statuses = [...]string{Open: `","status":"Active"`, Click: `","status":"Active"`, Bounce: `","status":"Hard Bounced"`,
	Unsubscribe: `","status":"Unsubscribed"`, Subscribe: `","status":"Active"`}

// putTime writes Unix seconds as 2026-03-01T10:15:31. time.Time.AppendFormat costs ten times as much.
func putTime(b *[19]byte, at int64) {
	days, s := at/86400, at%86400
	// The civil date of a number of days, counting years from March, so that the leap day is the last.
	z := days + 719468
	era := z / 146097
	doe := z - era*146097
	yoe := (doe - doe/1460 + doe/36524 - doe/146096) / 365
	doy := doe - (365*yoe + yoe/4 - yoe/100)
	mp := (5*doy + 2) / 153
	day, month, year := doy-(153*mp+2)/5+1, mp+3, yoe+era*400
	if month > 12 {
		month -= 12
		year++
	}
	two := func(n int, v int64) { b[n], b[n+1] = byte('0'+v/10), byte('0'+v%10) }
	two(0, year/100)
	two(2, year%100)
	two(5, month)
	two(8, day)
	two(11, s/3600)
	two(14, s/60%60)
	two(17, s%60)
	b[4], b[7], b[10], b[13], b[16] = '-', '-', 'T', ':', ':'
}
