package loadgen

import (
	"math/bits"
	"time"
)

// histogram counts how long things took, to within 3 %.
type histogram [48 * 32]uint32

// place of a duration: its power of two in nanoseconds, and the 32nd part of that.
func place(d time.Duration) int {
	n := uint64(max(d, 32))
	power := bits.Len64(n) - 6
	return min(power*32+int(n>>power), len(histogram{})-1)
}

func (h *histogram) add(d time.Duration) { h[place(d)]++ }

func (h *histogram) merge(other *histogram) {
	for i, n := range other {
		h[i] += n
	}
}

// quantile is the duration that a share of the counted ones did not exceed; 0 where none was counted.
func (h *histogram) quantile(share float64) time.Duration {
	total := uint64(0)
	for _, n := range h {
		total += uint64(n)
	}
	want := uint64(share * float64(total))
	seen := uint64(0)
	for i, n := range h {
		if seen += uint64(n); n > 0 && seen >= want {
			return upper(i)
		}
	}
	return 0
}

// upper is the longest duration of a place.
func upper(i int) time.Duration {
	if i < 64 {
		return time.Duration(i)
	}
	power := i/32 - 1
	return time.Duration((uint64(i%32+32)+1)<<power - 1)
}
