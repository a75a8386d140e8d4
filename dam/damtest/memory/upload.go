package memory

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"

	"damsync/dam"
)

// session is the state of an upload and the content it is for.
type session struct {
	Upload     string         `json:"upload"`
	Version    string         `json:"version"`
	SHA256     string         `json:"sha256"`
	Size       int64          `json:"size"`
	Checkpoint dam.Checkpoint `json:"checkpoint"`
}

func (s session) isFor(m dam.Mark) bool {
	return s.Version == m.Version && s.SHA256 == m.SHA256 && s.Size == m.Size
}

// receive uploads the body in parts and resumes an earlier attempt.
func (a *Adapter) receive(ctx context.Context, obj dam.Object) ([]byte, dam.Mark, error) {
	at := a.resume(obj)
	source, err := obj.Open(ctx, at.Checkpoint)
	if errors.Is(err, dam.ErrCheckpoint) {
		at = a.fresh(obj.Mark)
		source, err = obj.Open(ctx, at.Checkpoint)
	}
	if err != nil {
		return nil, dam.Mark{}, err
	}
	defer source.Close()
	for {
		n, err := a.part(ctx, &at, source)
		if err == nil && n == partBytes && obj.Upload.Save != nil {
			err = a.save(ctx, &at, source, obj.Upload)
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, dam.Mark{}, err
		}
	}
	sealed, err := source.Seal(obj.Mark)
	a.store.mu.Lock()
	defer a.store.mu.Unlock()
	body := a.store.uploads[at.Upload]
	delete(a.store.uploads, at.Upload)
	return body, sealed, err
}

// part appends one part, or less at the end.
func (a *Adapter) part(ctx context.Context, at *session, source io.Reader) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	buf := make([]byte, partBytes)
	n, err := io.ReadFull(source, buf)
	if errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, dam.ErrSource) {
		err = io.EOF // the last part is shorter
	}
	a.store.mu.Lock()
	defer a.store.mu.Unlock()
	if n > 0 {
		if stepErr := a.store.step("upload part"); stepErr != nil {
			return 0, stepErr
		}
		a.store.uploads[at.Upload] = append(a.store.uploads[at.Upload], buf[:n]...)
	}
	return n, err
}

func (a *Adapter) save(ctx context.Context, at *session, source *dam.Source, upload dam.Upload) error {
	var err error
	if at.Checkpoint, err = source.Checkpoint(); err != nil {
		return err
	}
	raw, err := json.Marshal(at)
	if err != nil {
		return fmt.Errorf("encode session: %w", err)
	}
	return upload.Save(ctx, raw)
}

// resume returns the session when it is for this content; otherwise it drops what the
// session uploaded.
func (a *Adapter) resume(obj dam.Object) session {
	var at session
	if json.Unmarshal(obj.Upload.Session, &at) != nil {
		return a.fresh(obj.Mark)
	}
	a.store.mu.Lock()
	kept, ok := a.store.uploads[at.Upload]
	fits := ok && at.isFor(obj.Mark) && int64(len(kept)) >= at.Checkpoint.Offset && at.Checkpoint.Offset > 0
	if fits {
		a.store.uploads[at.Upload] = slices.Clip(kept[:at.Checkpoint.Offset])
	} else {
		delete(a.store.uploads, at.Upload)
	}
	a.store.mu.Unlock()
	if !fits {
		return a.fresh(obj.Mark)
	}
	return at
}

// Abandon implements dam.Abandoner.
func (a *Adapter) Abandon(_ context.Context, raw []byte) {
	var at session
	if json.Unmarshal(raw, &at) != nil {
		return
	}
	a.store.mu.Lock()
	defer a.store.mu.Unlock()
	delete(a.store.uploads, at.Upload)
}

func (a *Adapter) fresh(m dam.Mark) session {
	a.store.mu.Lock()
	defer a.store.mu.Unlock()
	a.store.serial++
	return session{Upload: strconv.Itoa(a.store.serial), Version: m.Version, SHA256: m.SHA256, Size: m.Size}
}
