// Package pgserver finds, initializes and runs a private PostgreSQL server for
// an installation that has no database of its own.
//
// One data directory has at most one server, which every damsync process on
// the machine shares: the first Open starts it, later ones join it, and
// whichever process leaves last stops it. Who uses it is counted with file
// locks, which the kernel releases with the process, so a killed process
// leaves no stale count. A killed damsync leaves the server running: the next
// Open joins it and thereby becomes responsible for it. A server that damsync
// did not start (somebody ran pg_ctl on the cluster) is joined and never
// stopped.
//
// The server listens on a Unix socket only. Authentication is the mode of the
// socket's directory: 0700, owned by the user the server runs as, so that this
// user and root can connect. PostgreSQL refuses to run as root; started by
// root, it runs as the user postgres, or nobody where there is none.
//
// The files below the data directory:
//
//	postgres/start.lock   held while a process starts or stops the server
//	postgres/users.lock   held shared by every process that uses the server
//	postgres/cluster      PGDATA; damsync.conf in it is rewritten at each start
//	postgres/socket       the directory of the Unix socket
//	postgres/server.log   what the server wrote, moved to .1 beyond 8 MiB
//	postgres/dist         downloaded binaries, where none were installed
//	postgres/location     where cluster, log and dist are, when they are elsewhere
//	postgres/socket_dir   where the socket is, when the path here would be too long
//
// They are elsewhere when root's data directory lies below one that the
// server's user may not enter (such as /root, or what mktemp makes): then in
// the temporary directory when the data directory is there too, and in
// /var/lib/damsync otherwise.
package pgserver
