package damtest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"

	"damsync/dam"
)

func resumeCases() []testCase {
	return []testCase{
		{"resumes where it broke off", resumes},
		{"resumes in another process", resumesElsewhere},
		{"does not resume other content", resumesNoOther},
		{"ignores an invalid session", ignoresInvalidSessions},
		{"restarts when the content cannot be continued", restarts},
		{"tolerates a session that cannot be saved", cannotSave},
		{"abandons an upload", abandons},
	}
}

// largestPart limits the MinPartBytes that the suite tests: a case keeps a few times as
// much in memory and sends it several times.
const largestPart = 64 << 20

// upload is content of several parts, with what the core stores of its upload.
type upload struct {
	k       *kit
	body    string
	session []byte
	saved   int
	opened  []int64 // offsets
}

func newUpload(k *kit, seed string) *upload {
	k.Helper()
	k.needs(k.can.ResumableUpload, "resumable uploads")
	k.needs(k.can.MinPartBytes <= largestPart, fmt.Sprintf("parts of at most %d bytes, since it keeps several in memory; the target's have %d", largestPart, k.can.MinPartBytes))
	var body strings.Builder
	for i := 0; int64(body.Len()) < 3*k.can.MinPartBytes+k.can.MinPartBytes/2; i++ {
		fmt.Fprintf(&body, "%s %d ", seed, i)
	}
	return &upload{k: k, body: body.String()}
}

// object returns the content as asset A. Its body breaks off after breaksAfter bytes;
// 0 for never.
func (u *upload) object(breaksAfter int64, generation int64) dam.Object {
	obj := u.k.object("A", "a.bin", u.body, generation)
	obj.Open = dam.Opener(int64(len(u.body)), "", func(_ context.Context, at int64) (io.ReadCloser, error) {
		u.opened = append(u.opened, at)
		r := io.Reader(strings.NewReader(u.body[at:]))
		if breaksAfter > at {
			r = io.MultiReader(strings.NewReader(u.body[at:breaksAfter]), brokenReader())
		}
		return io.NopCloser(r), nil
	})
	obj.Upload = dam.Upload{Session: bytes.Clone(u.session), Save: func(_ context.Context, session []byte) error {
		u.saved++
		u.session = bytes.Clone(session)
		if len(session) > 64<<10 {
			u.k.Errorf("a session of %d bytes", len(session))
		}
		return nil
	}}
	return obj
}

// breakOff uploads two and a half parts, at generation 1.
func (u *upload) breakOff(a dam.Adapter) {
	u.k.Helper()
	_, err := a.Put(u.k.ctx, u.object(2*u.k.can.MinPartBytes+u.k.can.MinPartBytes/2, 1), dam.Remote{})
	wantClass(u.k, "put of a body that breaks off", err, dam.ClassSource)
	if u.saved == 0 || len(u.session) == 0 {
		u.k.Fatalf("no session was saved in two and a half parts")
	}
	u.opened = nil
}

// finish uploads the rest.
func (u *upload) finish(a dam.Adapter, generation int64) {
	u.k.Helper()
	obj := u.object(0, generation)
	r, err := a.Put(u.k.ctx, obj, dam.Remote{})
	if err != nil {
		u.k.Fatalf("put with a session: %v", err)
	}
	wantPut(u.k, r, obj, u.body)
	wantCount(u.k, 1)
}

func resumes(k *kit) {
	u := newUpload(k, "content")
	u.breakOff(k.a)
	if r := k.find("A"); r.State == dam.Present {
		k.Errorf("an unfinished upload was published: %+v", r)
	}
	u.finish(k.a, 1)
	if len(u.opened) != 1 || u.opened[0] < k.can.MinPartBytes {
		k.Errorf("the content was read from bytes %v, although at least %d were uploaded", u.opened, k.can.MinPartBytes)
	}
}

func resumesElsewhere(k *kit) {
	u := newUpload(k, "content")
	u.breakOff(k.open(k.instance))
	u.finish(k.open(k.instance), 2)
	if len(u.opened) != 1 || u.opened[0] == 0 {
		k.Errorf("the content was read from bytes %v", u.opened)
	}
}

// resumesNoOther passes the session of one content with another of the same size.
func resumesNoOther(k *kit) {
	first, second := newUpload(k, "content"), newUpload(k, "CONTENT")
	first.breakOff(k.a)
	second.session = first.session
	second.finish(k.a, 2)
}

func ignoresInvalidSessions(k *kit) {
	u := newUpload(k, "content")
	u.breakOff(k.a)
	half := u.session[:len(u.session)/2]
	for i, session := range []string{string(half), "no session", "{}", "null", "[]", string(bytes.Repeat([]byte{0xff}, 100))} {
		next := newUpload(k, fmt.Sprint("content ", i))
		next.session = []byte(session)
		next.finish(k.a, int64(i+2))
	}
}

// restarts has content that can be read only from its beginning.
func restarts(k *kit) {
	u := newUpload(k, "content")
	u.breakOff(k.a)
	obj := u.object(0, 1)
	open := obj.Open
	obj.Open = func(ctx context.Context, from dam.Checkpoint) (*dam.Source, error) {
		if from.Offset > 0 {
			return nil, dam.ErrCheckpoint
		}
		return open(ctx, from)
	}
	wantPut(k, k.put(obj, dam.Remote{}), obj, u.body)
	wantCount(k, 1)
}

// cannotSave has a core that cannot store a session. The upload may succeed or fail,
// but publishes nothing incomplete.
func cannotSave(k *kit) {
	u := newUpload(k, "content")
	obj := u.object(0, 1)
	obj.Upload.Save = func(context.Context, []byte) error { return errBroken }
	if r, err := k.a.Put(k.ctx, obj, dam.Remote{}); err == nil {
		wantPut(k, r, obj, u.body)
	}
	u.finish(k.a, 1)
}

// abandons abandons an upload twice, and invalid sessions. No object changes, and the
// content can still be put.
func abandons(k *kit) {
	u := newUpload(k, "content")
	_, is := k.a.(dam.Abandoner)
	k.needs(is, "uploads that can be abandoned")
	other := k.object("B", "b.png", "two", 1)
	k.put(other, dam.Remote{})
	u.breakOff(k.a)
	for _, session := range [][]byte{u.session, u.session, nil, []byte("no session"), []byte("{}")} {
		dam.Abandon(k.ctx, k.a, session)
	}
	if r := k.find("A"); r.State != dam.Absent {
		k.Errorf("after its upload was abandoned, find returned %+v", r)
	}
	obj := u.object(0, 1)
	wantPut(k, k.put(obj, dam.Remote{}), obj, u.body)
	dam.Abandon(k.ctx, k.a, u.session)
	wantThere(k, obj, u.body)
	wantThere(k, other, "two")
	wantCount(k, 2)
}
