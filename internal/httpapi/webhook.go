package httpapi

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"monterey/internal/fault"
)

func (a *api) webhookRoutes() {
	handle(a, operation{ID: "receiveWebhook", Method: http.MethodPost, Path: "/campaign-events/webhook", Tag: "Intake", Rule: public,
		AnyQuery: true, Status: http.StatusAccepted, Errors: []int{http.StatusBadRequest, http.StatusUnauthorized, http.StatusRequestEntityTooLarge},
		Summary: "Take in what a provider posts",
		Description: "One JSON object, newline-delimited objects or an array, plain or gzip. The provider's key is in every object. " +
			"202 means that the body is durable; counting follows."}, a.webhook)
	op := a.huma.OpenAPI().Paths["/campaign-events/webhook"].Post
	any := &huma.MediaType{Schema: &huma.Schema{Description: "An object, or several"}}
	op.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{"application/json": any, "application/x-ndjson": any}}
}

type receivedWire struct {
	DeliveryID uuid.UUID `json:"delivery_id" format:"uuid"`
	Events     int       `json:"events" doc:"Objects in the body" example:"12"`
	ReceivedAt time.Time `json:"received_at"`
}

// webhookInput is the unpacked body, and the memory that it takes until it is released.
type webhookInput struct {
	lease
	body []byte
}

func (in *webhookInput) read(w http.ResponseWriter, r *http.Request, e env) (err error) {
	in.of = e.bodies
	if in.body, err = in.unpacked(http.MaxBytesReader(w, r.Body, e.maxWebhook), e.maxWebhook); err != nil {
		in.release()
	}
	return err
}

func (a *api) webhook(ctx context.Context, _ call, in *webhookInput) (receivedWire, error) {
	defer in.release()
	id, events, at, err := a.Intake.Receive(ctx, in.body)
	return receivedWire{id.UUID, events, at.UTC()}, err
}

// unpacked reads a body and, if it is gzip (which its first bytes tell; headers lie), unpacks it, up to limit bytes either
// way. Faults: TooLarge, Malformed for one that ends too early or is damaged, and those of readAll.
func (l *lease) unpacked(body io.Reader, limit int64) ([]byte, error) {
	packed, err := l.readAll(body)
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, fault.New(fault.TooLarge, "the body is larger than %d bytes", limit)
	}
	if fault.Is(err, fault.Unavailable) {
		return nil, err
	}
	if err != nil {
		return nil, fault.Wrap(fault.Malformed, err, "the body could not be read to its end")
	}
	if !bytes.HasPrefix(packed, []byte{0x1f, 0x8b}) {
		return packed, nil
	}
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, fault.Wrap(fault.Malformed, err, "the body is not valid gzip")
	}
	plain, err := l.readAll(io.LimitReader(z, limit+1))
	if int64(len(plain)) > limit {
		return nil, fault.New(fault.TooLarge, "the body is larger than %d bytes unpacked", limit)
	}
	if err != nil && !fault.Is(err, fault.Unavailable) {
		return nil, fault.Wrap(fault.Malformed, err, "the body is not valid gzip")
	}
	return plain, err
}
