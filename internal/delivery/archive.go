package delivery

import "github.com/klauspost/compress/zstd"

// ArchiveBytes is how many bytes of bodies are packed together at the most: reading one body unpacks all of them.
const ArchiveBytes = 4 << 20

// Packer packs raw bodies that are kept. It is safe for concurrent use.
type Packer struct {
	enc *zstd.Encoder
	dec *zstd.Decoder
}

// NewPacker makes one.
func NewPacker() (*Packer, error) {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithWindowSize(1<<20))
	if err != nil {
		return nil, err
	}
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(1<<30))
	return &Packer{enc, dec}, err
}

// Archive is bodies packed together, and where each begins in what Unpack gives.
type Archive struct {
	Packed []byte
	Starts []int
}

// PackAll begins to pack bodies, which must stay as they are, in archives of the next ones each. wait gives them when that is
// done; it need not be called.
func (p *Packer) PackAll(bodies [][]byte) (wait func() []Archive) {
	var all []Archive
	var failed any
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() { failed = recover() }() // for who waits, and is guarded
		for len(bodies) > 0 {
			n := split(bodies)
			packed, starts := p.Pack(bodies[:n])
			all, bodies = append(all, Archive{packed, starts}), bodies[n:]
		}
	}()
	return func() []Archive {
		if <-done; failed != nil {
			panic(failed)
		}
		return all
	}
}

// Pack packs bodies together and says where each begins in what Unpack gives.
func (p *Packer) Pack(bodies [][]byte) (packed []byte, starts []int) {
	size := 0
	for _, b := range bodies {
		size += len(b)
	}
	all := make([]byte, 0, size)
	starts = make([]int, len(bodies))
	for i, b := range bodies {
		starts[i] = len(all)
		all = append(all, b...)
	}
	return p.enc.EncodeAll(all, nil), starts
}

// Unpack is the inverse of Pack: the bodies one after another.
func (p *Packer) Unpack(packed []byte) ([]byte, error) { return p.dec.DecodeAll(packed, nil) }

// split says how many of the first bodies go into one archive, at least one.
func split(bodies [][]byte) int {
	n, size := 0, 0
	for n < len(bodies) && (n == 0 || size+len(bodies[n]) <= ArchiveBytes) {
		size += len(bodies[n])
		n++
	}
	return n
}
