// Program bench prints the table of speeds: what must be reached, what is hoped for, what was measured, and beside it a
// yardstick that was measured in the same run, so that the figures of a slow or busy machine can be read too. `make bench`
// runs it.
//
// It makes a data set (5 million events of 200 campaigns over 90 days), measures how fast a full inbox is drained into it,
// then reads it over HTTP from the built server, and at last posts to that server, on a copy. With -dir the data set stays,
// and a later run measures reads and posts on it without making it again.
//
// Everything that is measured runs in a child process; this process generates the load on the same processors.
package main
