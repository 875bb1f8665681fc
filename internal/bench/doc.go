// Program bench prints the table of speeds: what must be reached, what is hoped for, what was measured, and beside it a
// yardstick that was measured in the same run, so that the figures of a slow or busy machine can be read too. `make bench`
// runs it.
//
// It makes a data set (5 million events of 200 campaigns over 90 days), measures how fast a full inbox is drained into it,
// then posts to the built server, on a copy, and at last reads it over HTTP. First SQLite, then the same on PostgreSQL, on a
// server that the run starts for itself; the yardstick of what is read there is SQLite. With -dir the data sets stay, and a
// later run measures reads and posts on them without making them again.
//
// Everything that is measured runs in a child process; this process generates the load on the same processors.
package main
