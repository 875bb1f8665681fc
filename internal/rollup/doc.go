// Package rollup owns the arithmetic of counting: buckets, the sets of recipients in them, and the statistics and time
// series that questions are answered with. It holds no SQL and knows no clock: stored rows come through Source and View,
// and when the question is asked is an argument.
//
// Whoever writes events joins each of them to the rows of its quarter hour, hour, UTC day and UTC week, of its campaign
// (Row.Add) and of the Workspace (Row.AddCount), in the same transaction. Once a day the days that have ended are joined to the Lifetime
// row and Row.Through moves on; an event that comes late, of a day before Through, is joined to Lifetime too.
//
// A question about a range reads whole weeks, then days, hours and quarter hours at its edges, and the events themselves
// where an edge cuts a quarter hour (cover, Collect). One without a beginning reads Lifetime and what comes from Through on. So
// distinct recipients are exact over any range in any zone.
package rollup
