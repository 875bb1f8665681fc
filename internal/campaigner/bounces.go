package campaigner

import (
	"context"
	"time"

	"monterey/internal/bounce"
)

// BounceList is one of the account's lists of bounces, as its path.
type BounceList string

// The lists.
const (
	AllBounces  BounceList = "/Bounces"
	HardBounces BounceList = "/Bounces/Hard"
	SoftBounces BounceList = "/Bounces/Soft"
)

// Bounce is a row of the account's bounces. Texts are verbatim.
type Bounce struct {
	ID       string // BounceID
	EmailID  string
	Address  string // normalised
	Status   string // of the contact
	SendType string
	At       time.Time // BouncedAt; zero = not said
	NDRCode  string    // its meaning is not known
	Type     string    // BounceType
	Reason   string
	Fault    string // what of the row could not be read; "" = nothing. Such fields are empty
	Raw      []byte // the row as written
}

func readBounce(r *row, raw []byte) Bounce {
	b := Bounce{
		ID: r.needID("BounceID"), EmailID: r.id("EmailID"), Address: r.address(), Status: r.label("Status"), SendType: r.label("SendType"),
		At: r.time("BouncedAt"), NDRCode: r.label("NDRCode"), Type: r.label("BounceType"), Reason: r.label("Reason"), Raw: raw,
	}
	b.Fault = r.fault()
	return b
}

func (b Bounce) key() string { return keyOf(b.ID, b.Raw) }

// Class is the bounce's class and what it says beside: its type decides where that says hard or soft, else the list that
// the row was read from, else the contact's status (bounce.ClassOf).
func (b Bounce) Class(from BounceList) (bounce.Class, bounce.Detail) {
	return classOf(b.Type, string(from), b.Status, b.Reason, b.NDRCode)
}

func classOf(bounceType, origin, status, reason, code string) (bounce.Class, bounce.Detail) {
	detail := bounce.Detail{Label: bounceType, Reason: reason, Code: code}
	if detail.Label == "" {
		detail.Label = status
	}
	detail.SMTPCode, detail.EnhancedCode = bounce.Codes(reason)
	return bounce.ClassOf(bounceType, origin, status, false), detail
}

// Bounces is a page of the account's bounces, in no known order.
func (c *Client) Bounces(ctx context.Context, from BounceList, p ListParams) (Page[Bounce], error) {
	return list(ctx, c, string(from), p, readBounce)
}

// Bounce is one of the account's bounces; an *Error of status 404 when there is none of this id.
func (c *Client) Bounce(ctx context.Context, id string) (Bounce, error) {
	if err := segment("/Bounces", id); err != nil {
		return Bounce{}, err
	}
	return one(ctx, c, "/Bounces/"+id, readBounce)
}

// keyOf is the id of a row, or for want of one the row.
func keyOf(id string, raw []byte) string {
	if id == "" {
		return string(raw)
	}
	return id
}
