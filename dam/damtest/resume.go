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
		{"goes on where it broke off", resumes},
		{"in another process", resumesElsewhere},
		{"not with another content", resumesNoOther},
		{"not with a spoilt session", resumesNoGarbage},
		{"from the beginning when the content asks", startsAnew},
		{"without a place to save", cannotSave},
		{"abandoned", abandons},
	}
}

// largestPart is the largest MinPartBytes that is tried: a case holds a few times as much in memory
// and sends it as often.
const largestPart = 64 << 20

// upload is a content of several parts and what the core keeps of its upload.
type upload struct {
	k       *kit
	body    string
	session []byte
	saved   int
	opened  []int64 // offsets asked for
}

func (k *kit) upload(seed string) *upload {
	k.Helper()
	k.needs(k.can.ResumableUpload, "resumable uploads")
	k.needs(k.can.MinPartBytes <= largestPart, fmt.Sprintf("parts of at most %d bytes, since several are held in memory; the target's are of %d", largestPart, k.can.MinPartBytes))
	var body strings.Builder
	for i := 0; int64(body.Len()) < 3*k.can.MinPartBytes+k.can.MinPartBytes/2; i++ {
		fmt.Fprintf(&body, "%s %d ", seed, i)
	}
	return &upload{k: k, body: body.String()}
}

// object is the content as asset A; it breaks off after so many bytes.
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

// breakOff uploads two parts and a half, at generation 1.
func (u *upload) breakOff(a dam.Adapter) {
	u.k.Helper()
	_, err := a.Put(u.k.ctx, u.object(2*u.k.can.MinPartBytes+u.k.can.MinPartBytes/2, 1), dam.Remote{})
	u.k.wantClass("put of a body that breaks off", err, dam.ClassSource)
	if u.saved == 0 || len(u.session) == 0 {
		u.k.Fatalf("no session was saved in two parts and a half")
	}
	u.opened = nil
}

// finish uploads the rest and says from where.
func (u *upload) finish(a dam.Adapter, generation int64) {
	u.k.Helper()
	obj := u.object(0, generation)
	r, err := a.Put(u.k.ctx, obj, dam.Remote{})
	if err != nil {
		u.k.Fatalf("put with a session: %v", err)
	}
	u.k.wantPut(r, obj, u.body)
	u.k.wantCount(1)
}

func resumes(k *kit) {
	u := k.upload("content")
	u.breakOff(k.a)
	if r := k.find("A"); r.State == dam.Present {
		k.Errorf("a part is published: %+v", r)
	}
	u.finish(k.a, 1)
	if len(u.opened) != 1 || u.opened[0] < k.can.MinPartBytes {
		k.Errorf("content was read again from bytes %v, at least %d were uploaded", u.opened, k.can.MinPartBytes)
	}
}

func resumesElsewhere(k *kit) {
	u := k.upload("content")
	u.breakOff(k.open(k.instance))
	u.finish(k.open(k.instance), 2)
	if len(u.opened) != 1 || u.opened[0] == 0 {
		k.Errorf("content was read again from bytes %v", u.opened)
	}
}

// resumesNoOther: a session is of one content, also when another has the same
// size.
func resumesNoOther(k *kit) {
	first, second := k.upload("content"), k.upload("CONTENT")
	first.breakOff(k.a)
	second.session = first.session
	second.finish(k.a, 2)
}

func resumesNoGarbage(k *kit) {
	u := k.upload("content")
	u.breakOff(k.a)
	half := u.session[:len(u.session)/2]
	for i, session := range []string{string(half), "garbage", "{}", "null", "[]", string(bytes.Repeat([]byte{0xff}, 100))} {
		next := k.upload(fmt.Sprint("content ", i))
		next.session = []byte(session)
		next.finish(k.a, int64(i+2))
	}
}

// startsAnew: the content cannot be continued, and so is read from its beginning.
func startsAnew(k *kit) {
	u := k.upload("content")
	u.breakOff(k.a)
	obj := u.object(0, 1)
	open := obj.Open
	obj.Open = func(ctx context.Context, from dam.Checkpoint) (*dam.Source, error) {
		if from.Offset > 0 {
			return nil, dam.ErrCheckpoint
		}
		return open(ctx, from)
	}
	k.wantPut(k.put(obj, dam.Remote{}), obj, u.body)
	k.wantCount(1)
}

// cannotSave: a session that cannot be kept fails no upload that goes through,
// or fails it as the core's trouble; nothing half is published.
func cannotSave(k *kit) {
	u := k.upload("content")
	obj := u.object(0, 1)
	obj.Upload.Save = func(context.Context, []byte) error { return errBroken }
	if r, err := k.a.Put(k.ctx, obj, dam.Remote{}); err == nil {
		k.wantPut(r, obj, u.body)
	}
	u.finish(k.a, 1)
}

// abandons: what was begun can be given up, more than once, and so can what never was; no
// object suffers, and the content can still be put.
func abandons(k *kit) {
	u := k.upload("content")
	_, is := k.a.(dam.Abandoner)
	k.needs(is, "uploads to be abandoned")
	other := k.object("B", "b.png", "two", 1)
	k.put(other, dam.Remote{})
	u.breakOff(k.a)
	for _, session := range [][]byte{u.session, u.session, nil, []byte("garbage"), []byte("{}")} {
		dam.Abandon(k.ctx, k.a, session)
	}
	if r := k.find("A"); r.State != dam.Absent {
		k.Errorf("after its upload was abandoned find gives %+v", r)
	}
	obj := u.object(0, 1)
	k.wantPut(k.put(obj, dam.Remote{}), obj, u.body)
	dam.Abandon(k.ctx, k.a, u.session)
	k.wantThere(obj, u.body)
	k.wantThere(other, "two")
	k.wantCount(2)
}
