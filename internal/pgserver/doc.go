// Package pgserver finds, initializes and runs a private PostgreSQL server for
// an installation that has no database of its own.
//
// A data directory has at most one server, shared by all damsync processes on
// the machine: the first Open starts it, later ones join it, and the last
// process to leave stops it. File locks count the processes. The kernel
// releases them when a process dies, so a killed process leaves no stale count.
// A killed damsync leaves the server running; the next Open joins it and
// becomes responsible for stopping it. A server that damsync did not start, for
// example with pg_ctl by hand, is joined and never stopped.
//
// The server listens on a Unix socket only. The socket's directory provides the
// authentication: it has mode 0700 and belongs to the user the server runs as,
// so only that user and root can connect. PostgreSQL refuses to run as root.
// Started by root, it runs as the user postgres, or nobody if there is no such
// user. If that user cannot enter the data directory, Open fails with the chmod
// command that allows it.
//
// Files below the data directory:
//
//	postgres/start.lock   locked while a process starts or stops the server
//	postgres/users.lock   locked shared by every process that uses the server
//	postgres/cluster      PGDATA; each start rewrites damsync.conf in it
//	postgres/socket       directory of the Unix socket
//	postgres/socket_dir   path of that directory if it is elsewhere because the path here is too long
//	postgres/server.log   output of the server, renamed to server.log.1 beyond 8 MiB
//	postgres/dist         downloaded binaries, if none were installed
package pgserver
