package postgres

import (
	"fmt"
	"reflect"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgtype"
)

// uuidCodec sends and reads ids of every type as their 16 bytes: uuid.UUID and the types of the nouns, which are structs of
// one. By themselves they would go as texts, as they know database/sql. NULL is read as the zero id.
type uuidCodec struct{ pgtype.UUIDCodec }

// idStruct is what the nouns' ids are.
type idStruct = struct{ uuid.UUID }

var idType = reflect.TypeFor[idStruct]()

func registerUUID(m *pgtype.Map) {
	t := &pgtype.Type{Name: "uuid", OID: pgtype.UUIDOID, Codec: uuidCodec{}}
	m.RegisterType(t)
	registerArrays(m)
}

// PlanEncode implements pgtype.Codec.
func (c uuidCodec) PlanEncode(m *pgtype.Map, oid uint32, format int16, value any) pgtype.EncodePlan {
	if format == pgtype.BinaryFormatCode {
		if _, ok := value.(uuid.UUID); ok {
			return uuidPlan{}
		}
		if t := reflect.TypeOf(value); t != nil && t.Kind() == reflect.Struct && t.ConvertibleTo(idType) {
			return idPlan{}
		}
	}
	return c.UUIDCodec.PlanEncode(m, oid, format, value)
}

// PlanScan implements pgtype.Codec.
func (c uuidCodec) PlanScan(m *pgtype.Map, oid uint32, format int16, target any) pgtype.ScanPlan {
	if format == pgtype.BinaryFormatCode {
		if _, ok := target.(*uuid.UUID); ok {
			return uuidPlan{}
		}
		if t := reflect.TypeOf(target); t != nil && t.Kind() == reflect.Pointer && t.Elem().Kind() == reflect.Struct && t.Elem().ConvertibleTo(idType) {
			return idPlan{}
		}
	}
	return c.UUIDCodec.PlanScan(m, oid, format, target)
}

type uuidPlan struct{}

func (uuidPlan) Encode(value any, buf []byte) ([]byte, error) {
	id := value.(uuid.UUID)
	return append(buf, id[:]...), nil
}

func (uuidPlan) Scan(src []byte, target any) error { return scanUUID(src, target.(*uuid.UUID)) }

type idPlan struct{}

func (idPlan) Encode(value any, buf []byte) ([]byte, error) {
	id := reflect.ValueOf(value).Convert(idType).Interface().(idStruct)
	return append(buf, id.UUID[:]...), nil
}

func (idPlan) Scan(src []byte, target any) error {
	id := reflect.ValueOf(target).Convert(reflect.PointerTo(idType)).Interface().(*idStruct)
	return scanUUID(src, &id.UUID)
}

func scanUUID(src []byte, id *uuid.UUID) error {
	switch len(src) {
	case 0:
		*id = uuid.UUID{}
	case len(id):
		copy(id[:], src)
	default:
		return fmt.Errorf("a uuid of %d bytes", len(src))
	}
	return nil
}
