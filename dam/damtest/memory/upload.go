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

func (s session) isFor(m dam.OwnerMark) bool {
	return s.Version == m.Version && s.SHA256 == m.SHA256 && s.Size == m.Size
}

// upload is the body of one Put under way.
type upload struct {
	store *Store
	obj   dam.Object
}

// receive uploads the body in parts and resumes an earlier attempt.
func (u upload) receive(ctx context.Context) ([]byte, dam.OwnerMark, error) {
	at := u.resume()
	source, err := u.obj.Open(ctx, at.Checkpoint)
	if errors.Is(err, dam.ErrCheckpoint) {
		at = u.fresh()
		source, err = u.obj.Open(ctx, at.Checkpoint)
	}
	if err != nil {
		return nil, dam.OwnerMark{}, err
	}
	defer source.Close()
	for {
		n, err := u.part(ctx, &at, source)
		if err == nil && n == partBytes && u.obj.Upload.Save != nil {
			err = u.save(ctx, &at, source)
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, dam.OwnerMark{}, err
		}
	}
	sealed, err := source.Seal(u.obj.Mark)
	u.store.mu.Lock()
	defer u.store.mu.Unlock()
	body := u.store.uploads[at.Upload]
	delete(u.store.uploads, at.Upload)
	return body, sealed, err
}

// part appends one part, or less at the end.
func (u upload) part(ctx context.Context, at *session, source io.Reader) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	buf := make([]byte, partBytes)
	n, err := io.ReadFull(source, buf)
	if errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, dam.ErrSource) {
		err = io.EOF // the last part is shorter
	}
	u.store.mu.Lock()
	defer u.store.mu.Unlock()
	if n > 0 {
		if stepErr := u.store.step("upload part"); stepErr != nil {
			return 0, stepErr
		}
		u.store.uploads[at.Upload] = append(u.store.uploads[at.Upload], buf[:n]...)
	}
	return n, err
}

func (u upload) save(ctx context.Context, at *session, source *dam.Source) error {
	var err error
	if at.Checkpoint, err = source.Checkpoint(); err != nil {
		return err
	}
	raw, err := json.Marshal(at)
	if err != nil {
		return fmt.Errorf("encode session: %w", err)
	}
	return u.obj.Upload.Save(ctx, raw)
}

// resume returns the session when it is for this content; otherwise it drops what the
// session uploaded.
func (u upload) resume() session {
	var at session
	if json.Unmarshal(u.obj.Upload.Session, &at) != nil {
		return u.fresh()
	}
	u.store.mu.Lock()
	kept, ok := u.store.uploads[at.Upload]
	fits := ok && at.isFor(u.obj.Mark) && int64(len(kept)) >= at.Checkpoint.Offset && at.Checkpoint.Offset > 0
	if fits {
		u.store.uploads[at.Upload] = slices.Clip(kept[:at.Checkpoint.Offset])
	} else {
		delete(u.store.uploads, at.Upload)
	}
	u.store.mu.Unlock()
	if !fits {
		return u.fresh()
	}
	return at
}

func (u upload) fresh() session {
	u.store.mu.Lock()
	defer u.store.mu.Unlock()
	u.store.serial++
	m := u.obj.Mark
	return session{Upload: strconv.Itoa(u.store.serial), Version: m.Version, SHA256: m.SHA256, Size: m.Size}
}
