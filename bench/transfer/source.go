package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net"
	"net/http"
	"path"
	"strconv"
	"strings"
	"time"
)

// sourceJob describes a directory of files on a web server.
type sourceJob struct {
	Files int
	Size  int64         // bytes of each
	Wait  time.Duration // to the first byte
	Rate  int64         // bytes per second of each stream; 0 is no limit
}

func fileName(i int) string { return fmt.Sprintf("%06d.bin", i) }

const blockSize = 1 << 20

// block returns the bytes that all files repeat, each from another offset on.
func block() []byte {
	b := make([]byte, 2*blockSize)
	x := uint32(1)
	for i := range blockSize {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	copy(b[blockSize:], b)
	return b
}

// contentAt returns a piece of file i.
func contentAt(block []byte, i int, offset, most int64) []byte {
	at := (offset + int64(i)*4099) % blockSize
	return block[at : at+min(most, blockSize)]
}

// digests returns the SHA-256 of all files, computed apart from what is measured.
func digests(files int, size int64) []string {
	b := block()
	sums := make([]string, files)
	for i := range sums {
		sum := sha256.New()
		for at := int64(0); at < size; {
			n, _ := sum.Write(contentAt(b, i, at, size-at)) // never fails
			at += int64(n)
		}
		sums[i] = hex.EncodeToString(sum.Sum(nil))
	}
	return sums
}

// sourceHandler serves the files, ranges of them, and an index for peers that list.
func sourceHandler(j sourceJob) http.Handler {
	b := block()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/") {
			for i := range j.Files {
				fmt.Fprintf(w, "<a href=\"%s\">%s</a>\n", fileName(i), fileName(i))
			}
			return
		}
		i, err := strconv.Atoi(strings.TrimSuffix(path.Base(r.URL.Path), ".bin"))
		if err != nil || i < 0 || i >= j.Files {
			http.NotFound(w, r)
			return
		}
		pause(r.Context(), j.Wait)
		from, to := j.header(w, r)
		if r.Method == http.MethodGet {
			j.send(w, r, b, i, from, to)
		}
	})
}

// header answers with the whole file or the requested range, and returns which.
func (j sourceJob) header(w http.ResponseWriter, r *http.Request) (from, to int64) {
	to = j.Size
	status := http.StatusOK
	if requested := r.Header.Get("Range"); requested != "" {
		first, last, _ := strings.Cut(strings.TrimPrefix(requested, "bytes="), "-")
		from, _ = strconv.ParseInt(first, 10, 64)
		if n, err := strconv.ParseInt(last, 10, 64); err == nil {
			to = min(n+1, j.Size)
		}
		from = min(from, to)
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, to-1, j.Size))
		status = http.StatusPartialContent
	}
	w.Header().Set("Accept-Ranges", "bytes")
	w.Header().Set("Content-Length", strconv.FormatInt(to-from, 10))
	w.WriteHeader(status)
	return from, to
}

// send writes a piece when the last of its bytes is due.
func (j sourceJob) send(w http.ResponseWriter, r *http.Request, block []byte, i int, from, to int64) {
	began, most := time.Now(), int64(blockSize)
	if j.Rate > 0 {
		most = 128 << 10
	}
	for at := from; at < to; {
		piece := contentAt(block, i, at, min(most, to-at))
		if at += int64(len(piece)); j.Rate > 0 {
			pause(r.Context(), time.Until(began.Add(time.Duration(at-from)*time.Second/time.Duration(j.Rate))))
		}
		if _, err := w.Write(piece); err != nil {
			return
		}
	}
}

func pause(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// serveSource is the part of the web server.
func serveSource(ctx context.Context, j sourceJob) (string, func() (struct{}, error), error) {
	url, stop, err := serve(ctx, sourceHandler(j))
	return url, func() (struct{}, error) { return struct{}{}, stop() }, err
}

// serve serves h on a free loopback port until stop is called.
func serve(ctx context.Context, h http.Handler) (url string, stop func() error, err error) {
	var listen net.ListenConfig
	l, err := listen.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	s := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	return "http://" + l.Addr().String(), func() error {
		err := s.Close()
		<-done
		return err
	}, nil
}
