package pgserver_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"testing"

	"damsync/internal/pgserver"

	"github.com/ulikunitz/xz"
)

// entry is one file of a tar archive.
type entry struct {
	tar.Header
	content string
}

func file(name, content string) entry {
	return entry{tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o755, Size: int64(len(content))}, content}
}

func directory(name string) entry {
	return entry{tar.Header{Typeflag: tar.TypeDir, Name: name, Mode: 0o700}, ""}
}

func link(name, target string) entry {
	return entry{tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: target}, ""}
}

// installedBinaries are scripts that run the programs installed on this machine.
func installedBinaries(t *testing.T) []entry {
	t.Helper()
	bin, err := pgserver.Find(t.Context(), pgserver.Lookup{})
	if err != nil {
		t.Fatal(err)
	}
	script := func(name string) string { return "#!/bin/sh\nexec " + bin.Dir + "/" + name + ` "$@"` + "\n" }
	return []entry{
		directory("./bin/"), file("./bin/initdb", script("initdb")), file("./bin/pg_ctl", script("pg_ctl")),
		file("libexec/postgres", script("postgres")), link("bin/postgres", "postgres.18"),
		link("bin/postgres.18", "program"), file("bin/program", script("postgres")),
	}
}

// packJar packs entries as the repository does: a zip file with a .txz in it.
func packJar(t *testing.T, entries ...entry) []byte {
	t.Helper()
	return packZip(t, "postgres-linux-x86_64.txz", packTxz(t, entries...))
}

func packZip(t *testing.T, name string, content []byte) []byte {
	t.Helper()
	var jar bytes.Buffer
	z := zip.NewWriter(&jar)
	w, err := z.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return jar.Bytes()
}

func packTxz(t *testing.T, entries ...entry) []byte {
	t.Helper()
	var txz bytes.Buffer
	compressed, err := xz.NewWriter(&txz)
	if err != nil {
		t.Fatal(err)
	}
	archive := tar.NewWriter(compressed)
	for _, e := range entries {
		if err := archive.WriteHeader(&e.Header); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(archive, e.content); err != nil {
			t.Fatal(err)
		}
	}
	if err := archive.Flush(); err == nil { // a file shorter than its header says cannot be closed
		_ = archive.Close()
	}
	if err := compressed.Close(); err != nil {
		t.Fatal(err)
	}
	return txz.Bytes()
}

func sha256Hex(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
