// Package rollup owns the arithmetic of counting: buckets, the sets of recipients in them, and the statistics and time
// series that questions are answered with. It holds no SQL and knows no clock: stored rows come through Source.
package rollup
