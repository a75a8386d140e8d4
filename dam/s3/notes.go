package s3

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"iter"

	"damsync/dam"
	"damsync/dam/naming"

	"github.com/aws/aws-sdk-go-v2/aws"
)

const maxNoteBytes = 16 << 10

// notes keeps a small object for each open multipart upload of one target. The server
// stores no owner with an upload, so only its note distinguishes it from the uploads of
// other programs, which must not be aborted.
type notes struct {
	client *client
	dir    string // a name that ends with a slash
}

func newNotes(c *client, o owner) *notes {
	return &notes{c, stateDir + naming.Digest(o.instance, o.target)[:16] + "/uploads/"}
}

func (n *notes) name(up openUpload) string {
	return n.dir + naming.Digest(up.Name, up.UploadID)[:32] + ".json"
}

// write writes the note of an upload. Writing it again resets its age.
func (n *notes) write(ctx context.Context, up openUpload) error {
	body, err := json.Marshal(up)
	if err != nil {
		return fmt.Errorf("encode note of upload: %w", err)
	}
	in := newDocumentHeaders(n.client.options, nil).putInput(condition{})
	in.Body, in.ContentLength = bytes.NewReader(body), aws.Int64(int64(len(body)))
	_, err = n.client.put(ctx, n.name(up), in)
	return err
}

// remove removes the note. A note that stays costs one abort of an upload that does not exist.
func (n *notes) remove(ctx context.Context, up openUpload) {
	_ = n.client.remove(ctx, n.name(up), "")
}

func (n *notes) list(ctx context.Context) iter.Seq2[listed, error] { return n.client.list(ctx, n.dir) }

func (n *notes) read(ctx context.Context, name string) (openUpload, error) {
	raw, err := n.client.read(ctx, name, "", maxNoteBytes)
	if err != nil {
		return openUpload{}, err
	}
	var up openUpload
	if json.Unmarshal(raw, &up) != nil || up.Name == "" || up.UploadID == "" {
		return openUpload{}, fmt.Errorf("note of upload %s: %w: not written by damsync", name, dam.ErrForeign)
	}
	return up, nil
}
