package rollup

import "encoding/binary"

// Roaring's portable serialisation, read without building the bitmap: see "Roaring Bitmap Format Specification". What is
// wrong with the structure is a fault; that ordinals ascend, and how many they are, is not looked at.
const (
	cookieRuns   = 12347 // in the lower 16 bits; the upper are the number of containers - 1
	cookieNoRuns = 12346 // the number follows
	offsetsFrom  = 4     // with runs, offsets are written for this many containers or more
	arrayMax     = 4096  // a container of more ordinals is a bitmap
	bitmapBytes  = 8192
)

// orRoaring joins a serialised bitmap.
func (s *Set) orRoaring(data []byte) error {
	heads, runs, bodies, err := roaringHeads(data)
	if err != nil {
		return err
	}
	for i := 0; len(heads) > 0; i++ {
		key, size := binary.LittleEndian.Uint16(heads), int(binary.LittleEndian.Uint16(heads[2:]))+1
		heads = heads[4:]
		p := s.page(key)
		before, used := p.n, 0
		switch {
		case runs != nil && runs[i/8]>>(i%8)&1 != 0:
			used, err = p.orRuns(bodies)
		case size > arrayMax:
			if used = bitmapBytes; used <= len(bodies) {
				p.orBits(bodies)
			}
		default:
			if used = 2 * size; used <= len(bodies) {
				p.orArray(bodies[:used])
			}
		}
		s.n += uint64(p.n - before)
		if err != nil || used > len(bodies) {
			return cutOff()
		}
		bodies = bodies[used:]
	}
	if len(bodies) != 0 {
		return corrupt("a set of a wrong length")
	}
	return nil
}

// roaringHeads splits data into the keys and sizes (4 bytes a container), the bits that tell which containers are runs
// (nil = none), and the containers.
func roaringHeads(data []byte) (heads, runs, bodies []byte, err error) {
	if len(data) < 8 {
		return nil, nil, nil, cutOff()
	}
	cookie, n := binary.LittleEndian.Uint32(data), 0
	data = data[4:]
	switch {
	case cookie&0xffff == cookieRuns:
		n = int(cookie>>16) + 1
		if len(data) < (n+7)/8 {
			return nil, nil, nil, cutOff()
		}
		runs, data = data[:(n+7)/8], data[(n+7)/8:]
	case cookie == cookieNoRuns:
		size := binary.LittleEndian.Uint32(data)
		if data = data[4:]; size > 1<<16 {
			return nil, nil, nil, corrupt("a set of too many parts")
		}
		n = int(size)
	default:
		return nil, nil, nil, corrupt("a set that cannot be read")
	}
	skip := 4 * n
	if runs == nil || n >= offsetsFrom {
		skip += 4 * n
	}
	if len(data) < skip {
		return nil, nil, nil, cutOff()
	}
	return data[:4*n], runs, data[skip:], nil
}

func (p *setPage) orRuns(data []byte) (used int, err error) {
	if len(data) < 2 {
		return 0, cutOff()
	}
	n := int(binary.LittleEndian.Uint16(data))
	if used = 2 + 4*n; used > len(data) {
		return 0, cutOff()
	}
	for i := 2; i < used; i += 4 {
		first, more := binary.LittleEndian.Uint16(data[i:]), binary.LittleEndian.Uint16(data[i+2:])
		if first+more < first {
			return 0, corrupt("a run beyond its part")
		}
		p.orRun(first, first+more)
	}
	return used, nil
}
