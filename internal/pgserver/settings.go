package pgserver

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

const settingsFile = "damsync.conf"

// settings returns the text of damsync.conf: a small, durable server. Values set
// with ALTER SYSTEM take precedence.
func (s *instance) settings(socketDir string) string {
	var b strings.Builder
	set := func(name, value string) { fmt.Fprintf(&b, "%s = %s\n", name, quote(value)) }
	b.WriteString("# Written by damsync at each start. To change a setting, use ALTER SYSTEM.\n")
	set("listen_addresses", "")
	set("unix_socket_directories", `"`+strings.ReplaceAll(socketDir, `"`, `""`)+`"`)
	set("unix_socket_permissions", "0700")
	set("port", port)
	set("max_connections", strconv.Itoa(s.maxConnections))
	set("shared_buffers", "64MB")
	set("max_wal_size", "256MB")
	set("wal_compression", "on")
	set("jit", "off") // the queries are short, and compiling them costs more than it saves
	set("timezone", "UTC")
	set("log_timezone", "UTC")
	set("log_line_prefix", "%m [%p] %u@%d ")
	set("log_checkpoints", "off") // would write a line every five minutes
	if s.unsafe {
		set("fsync", "off")
		set("synchronous_commit", "off")
		set("full_page_writes", "off")
		set("wal_level", "minimal")
		set("max_wal_senders", "0")
	}
	return b.String()
}

// quote quotes a value for postgresql.conf.
func quote(value string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `''`, "\n", `\n`).Replace(value) + "'"
}

// configure writes damsync.conf and includes it in postgresql.conf once.
func (s *instance) configure(socketDir string) error {
	cluster := s.layout.cluster()
	if err := s.writeIn(cluster, settingsFile, s.settings(socketDir), os.O_TRUNC); err != nil {
		return fmt.Errorf("write %s: %w", settingsFile, err)
	}
	main, err := os.ReadFile(cluster + "/postgresql.conf")
	if err != nil {
		return fmt.Errorf("read postgresql.conf: %w", err)
	}
	include := "include = '" + settingsFile + "'\n"
	if strings.Contains(string(main), include) {
		return nil
	}
	if err := s.writeIn(cluster, "postgresql.conf", "\n"+include, os.O_APPEND); err != nil {
		return fmt.Errorf("append to postgresql.conf: %w", err)
	}
	return nil
}
