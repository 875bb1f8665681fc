package postgres

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"monterey/internal/event"
	"monterey/internal/recipient"
)

// TestArrays: arrays come back as they were sent, by which way soever, and no slice is NULL.
func TestArrays(t *testing.T) {
	s := openMigrated(t)
	id := event.ID{UUID: uuid.MustParse("01a21574-3e8f-8043-ab98-6457f19a4140")}
	check := func(sql string, sent, got, want any) {
		t.Helper()
		if err := s.pool.QueryRow(t.Context(), "SELECT $1::"+sql, sent).Scan(got); err != nil {
			t.Errorf("%s: %v", sql, err)
			return
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-sent +got):\n%s", sql, diff)
		}
	}
	check("smallint[]", []int16{0, -1, 32767}, new([]int16), &[]int16{0, -1, 32767})
	check("integer[]", []int32{0, -1, 1 << 30}, new([]int32), &[]int32{0, -1, 1 << 30})
	check("integer[]", []int64{0, -1, 1 << 30}, new([]int32), &[]int32{0, -1, 1 << 30})
	check("smallint[]", []int64{0, -1, 32767}, new([]int16), &[]int16{0, -1, 32767})
	check("integer[]", []int64(nil), new([]int32), new([]int32))
	check("bigint[]", []int64{0, -1, 1 << 60}, new([]int64), &[]int64{0, -1, 1 << 60})
	check("bigint[]", []int64{}, new([]int64), &[]int64{})
	check("bigint[]", []int64(nil), new([]int64), new([]int64))
	check("text[]", []string{"", "ä", "NULL", `"\,{}`}, new([]string), &[]string{"", "ä", "NULL", `"\,{}`})
	check("bytea[]", [][]byte{{}, nil, {0, 255}}, new([][]byte), &[][]byte{{}, nil, {0, 255}})
	check("uuid[]", []uuid.UUID{{}, id.UUID}, new([]uuid.UUID), &[]uuid.UUID{{}, id.UUID})
	check("uuid[]", []event.ID{{}, id}, new([]event.ID), &[]event.ID{{}, id})
	check("uuid[]", []recipient.Hash{{}, recipient.Hash(id.UUID)}, new([]event.ID), &[]event.ID{{}, id})
	check("uuid[]", [][16]byte{{}, id.UUID}, new([]event.ID), &[]event.ID{{}, id})
	for sql, beyond := range map[string]int64{"smallint[]": 1 << 15, "integer[]": -1<<31 - 1} {
		if err := s.pool.QueryRow(t.Context(), "SELECT $1::"+sql, []int64{0, beyond}).Scan(new([]int32)); err == nil {
			t.Errorf("%d was sent as an element of %s", beyond, sql)
		}
	}
}
