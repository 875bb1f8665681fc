package campaigner

import (
	"bytes"

	"github.com/go-json-experiment/json/jsontext"
)

// field is one of the fields that are used. Others are only passed over.
type field uint8

const (
	fType field = iota
	fEmail
	fCampaignID
	fID
	fTimestamp
	fOpenedAt
	fClickedOn
	fSendingStarted
	fSent
	fClickURL
	fURLID
	fIP
	fReason
	fStatus
	fBounceType // in no documented webhook, but where it stands it decides a bounce's class
	fieldCount
)

// name is the documented spelling.
func (f field) name() string {
	return [fieldCount]string{
		"type", "email", "campaign_id", "id", "timestamp", "opened_at", "clicked_on", "sending_started", "sent",
		"click_url", "url_id", "ip", "reason", "status", "BounceType",
	}[f]
}

// findField finds a field by its name without case, spaces, hyphens and underscores.
func findField(folded []byte) (field, bool) {
	switch string(folded) {
	case "type":
		return fType, true
	case "email":
		return fEmail, true
	case "campaignid":
		return fCampaignID, true
	case "id":
		return fID, true
	case "timestamp":
		return fTimestamp, true
	case "openedat":
		return fOpenedAt, true
	case "clickedon":
		return fClickedOn, true
	case "sendingstarted":
		return fSendingStarted, true
	case "sent":
		return fSent, true
	case "clickurl":
		return fClickURL, true
	case "urlid":
		return fURLID, true
	case "ip":
		return fIP, true
	case "reason":
		return fReason, true
	case "status":
		return fStatus, true
	case "bouncetype":
		return fBounceType, true
	}
	return 0, false
}

// object is the used fields of one object, as written; nil where absent.
type object struct {
	raw   [fieldCount][]byte
	exact [fieldCount]bool // spelled as documented
}

// readObject reads the fields of the object that r has entered.
func readObject(r *reader) (o object, err error) {
	for {
		name, from, to, err := r.field()
		if err != nil || name == nil {
			return o, err
		}
		o.set(name, r.body[from:to])
	}
}

// set keeps the value of a field that is used. name is as written, quotes and all.
func (o *object) set(name, value []byte) {
	plain := name[1 : len(name)-1]
	if bytes.IndexByte(plain, '\\') >= 0 {
		plain, _ = jsontext.AppendUnquote(nil, name) // a damaged name matches none of ours
	}
	var buf [24]byte
	f, ok := findField(fold(buf[:0], plain))
	if !ok {
		return
	}
	exact := string(plain) == f.name()
	if o.exact[f] && !exact {
		return
	}
	o.raw[f], o.exact[f] = value, exact
}

// fold appends a name in lower case, without spaces, hyphens and underscores, as far as dst has room.
func fold(dst, name []byte) []byte {
	for _, c := range name {
		switch {
		case c == ' ' || c == '-' || c == '_':
			continue
		case len(dst) == cap(dst):
			return dst
		case 'A' <= c && c <= 'Z':
			c += 'a' - 'A'
		}
		dst = append(dst, c)
	}
	return dst
}
