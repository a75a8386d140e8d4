package pgserver

import (
	"archive/tar"
	"archive/zip"
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/ulikunitz/xz"
)

const (
	maxArchiveSize  = 256 << 20 // archives have about 30 MB
	maxUnpackedSize = 1 << 30
	minFileSize     = 16 << 10 // counted for each file, so the number of files is bounded too
)

// fetch downloads the archive at url, verifies the SHA-256 published beside it
// and unpacks it to dist, which appears complete or not at all.
func fetch(ctx context.Context, client *http.Client, url, dist string) (err error) {
	published, err := get(ctx, client, url+".sha256", 1<<10)
	if err != nil {
		return err
	}
	jar, err := get(ctx, client, url, maxArchiveSize)
	if err != nil {
		return err
	}
	// Some tools append the file name to the checksum.
	if sum := fmt.Sprintf("%x", sha256.Sum256(jar)); !strings.HasPrefix(string(published), sum) {
		return fmt.Errorf("%s has the SHA-256 %s, published is %.64q", url, sum, published)
	}
	work, err := os.MkdirTemp(filepath.Dir(dist), fetchPrefix)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	if err := unpack(ctx, jar, work); err != nil {
		return fmt.Errorf("unpack %s: %w", url, err)
	}
	return errors.Join(os.RemoveAll(dist), os.Rename(work, dist))
}

func get(ctx context.Context, client *http.Client, url string, limit int64) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if resp.StatusCode != http.StatusOK {
		err = errors.New(resp.Status)
	} else if int64(len(body)) > limit {
		err = fmt.Errorf("more than %d bytes", limit)
	}
	if err != nil {
		return nil, fmt.Errorf("get %s: %w", url, err)
	}
	return body, nil
}

// unpack extracts the .txz file in a jar, which is a zip file, to dir.
func unpack(ctx context.Context, jar []byte, dir string) error {
	outer, err := zip.NewReader(bytes.NewReader(jar), int64(len(jar)))
	if err != nil {
		return err
	}
	names, err := fs.Glob(outer, "*.txz")
	if err != nil || len(names) != 1 {
		return fmt.Errorf("want one .txz file, found %q", names)
	}
	txz, err := outer.Open(names[0])
	if err != nil {
		return err
	}
	defer txz.Close()
	plain, err := xz.NewReader(bufio.NewReader(txz))
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	return errors.Join(extractAll(ctx, root, tar.NewReader(plain)), openDirs(root))
}

func extractAll(ctx context.Context, root *os.Root, files *tar.Reader) error {
	for left := int64(maxUnpackedSize); ; {
		header, err := files.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err := errors.Join(err, ctx.Err()); err != nil {
			return err
		}
		if left -= header.Size + minFileSize; left < 0 {
			return fmt.Errorf("more than %d bytes unpacked", maxUnpackedSize)
		}
		if err := extract(root, header, files); err != nil {
			return fmt.Errorf("extract %q: %w", header.Name, err)
		}
	}
}

// extract creates one file of the archive. root refuses a path that leaves the
// directory, also through a link; no link leads out of the directory it is in.
func extract(root *os.Root, header *tar.Header, content io.Reader) error {
	if err := root.MkdirAll(path.Dir(header.Name), 0o755); err != nil {
		return err
	}
	switch {
	case header.Typeflag == tar.TypeDir:
		return root.MkdirAll(header.Name, 0o755)
	case header.Typeflag == tar.TypeSymlink && filepath.IsLocal(header.Linkname):
		return root.Symlink(header.Linkname, header.Name)
	case header.Typeflag == tar.TypeReg:
		f, err := root.OpenFile(header.Name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		_, err = io.Copy(f, content)
		return errors.Join(err, f.Chmod(header.FileInfo().Mode()&0o755|0o444), f.Close())
	}
	return fmt.Errorf("type %q, link %q: not allowed", header.Typeflag, header.Linkname)
}

// openDirs lets the server's user enter the directories, whatever the umask.
func openDirs(root *os.Root) error {
	return fs.WalkDir(root.FS(), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.IsDir() {
			return err
		}
		return root.Chmod(name, 0o755)
	})
}
