package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/bmatcuk/doublestar/v4"

	"damsync/cmp/cmpsim"
)

// editWait limits the time from an edit to the changed file.
const editWait = time.Minute

// edits makes one edit of each kind.
func (d *demo) edits(ctx context.Context) error {
	approved := map[string][]string{"Status": {"Approved"}}
	id, err := d.sim.AddAsset(cmpsim.NewAsset{Title: "Autumn campaign hero", Folder: "/Brand", Labels: approved})
	if err != nil {
		return fmt.Errorf("edit the simulated library: %w", err)
	}
	if err := d.arrives(ctx, "adds an approved image", id); err != nil {
		return err
	}
	alt := "A hero image in autumn colours"
	for _, edit := range []struct {
		text string
		do   func() error
	}{
		{"renames it", func() error { return d.sim.EditTitle(id, "Autumn campaign hero, final") }},
		{"writes its alt text", func() error { return d.sim.SetDetail(id, cmpsim.Detail{AltText: &alt}) }},
		{"uploads a new version", func() error { return d.sim.NewVersion(id, 0) }},
		{"moves it to /Brand/Photography", func() error { return d.sim.MoveAsset(id, "/Brand/Photography") }},
		{"marks it as Draft", func() error { return d.sim.SetLabels(id, map[string][]string{"Status": {"Draft"}}) }},
		{"approves it again", func() error { return d.sim.SetLabels(id, approved) }},
		{"moves it out of /Brand", func() error { return d.sim.MoveAsset(id, "/") }},
		{"moves it back", func() error { return d.sim.MoveAsset(id, "/Brand/Logos") }},
		{"deletes it", func() error { return d.sim.DeleteAsset(id) }},
	} {
		if err := edit.do(); err != nil {
			return fmt.Errorf("edit the simulated library: %w", err)
		}
		if err := d.arrives(ctx, edit.text, id); err != nil {
			return err
		}
	}
	return nil
}

// editForever makes random edits until ctx ends.
func (d *demo) editForever(ctx context.Context) error {
	editor := d.sim.NewEditor("/Brand", time.Now().UnixNano())
	for {
		if err := pause(ctx, 5*time.Second); err != nil {
			return err
		}
		step, err := editor.Step()
		if err != nil {
			return fmt.Errorf("edit the simulated library: %w", err)
		}
		if err := d.arrives(ctx, step.Text, step.AssetID); err != nil {
			return err
		}
	}
}

// arrives waits until the files show the edit and prints the time since its webhook was sent.
func (d *demo) arrives(ctx context.Context, text, id string) error {
	if id == "" {
		d.say("  %s", text)
		return nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, editWait, fmt.Errorf("edit did not reach the files within %s: %s", editWait, text))
	defer cancel()
	for {
		shown, err := d.shows(id)
		if err != nil {
			return err
		}
		if shown {
			break
		}
		if err := pause(ctx, 5*time.Millisecond); err != nil {
			if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
				return cause
			}
			return err
		}
	}
	took := "before its webhook"
	if sent, ok := d.sentAt(id); ok {
		took = time.Since(sent).Round(time.Millisecond).String()
	}
	d.say("  %-60s %s", text, took)
	return nil
}

// sentAt returns when the newest webhook about the asset was sent.
func (d *demo) sentAt(id string) (time.Time, bool) {
	for _, delivery := range slices.Backward(d.sim.Deliveries()) {
		if delivery.AssetID == id && !delivery.Sent.IsZero() {
			return delivery.Sent, true
		}
	}
	return time.Time{}, false
}

// belongs repeats the target's rule, to check damsync's own evaluation.
func belongs(a cmpsim.Asset) bool {
	inBrand := a.Folder == "/Brand" || strings.HasPrefix(a.Folder, "/Brand/")
	expired := !a.ExpiresAt.IsZero() && !a.ExpiresAt.After(time.Now())
	return a.Type == "image" && inBrand && slices.Contains(a.Labels["Status"], "Approved") && !a.Archived && !expired
}

// shows reports whether the files match the asset in the simulated library.
func (d *demo) shows(id string) (bool, error) {
	found, err := doublestar.Glob(os.DirFS(d.root), "**/"+id+"-*.damsync.json", doublestar.WithNoFollow())
	if err != nil {
		return false, fmt.Errorf("list the files: %w", err)
	}
	found = slices.DeleteFunc(found, func(path string) bool { return strings.HasPrefix(path, ".") })
	truth, err := d.sim.Asset(id)
	if err != nil || !belongs(truth) { // gone from the library
		return len(found) == 0, nil
	}
	if len(found) != 1 || filepath.Dir(found[0]) != strings.TrimPrefix(truth.Folder, "/") {
		return false, nil
	}
	var sidecar struct {
		Version  string         `json:"version"`
		Metadata map[string]any `json:"metadata"`
	}
	text, err := os.ReadFile(filepath.Join(d.root, found[0]))
	if err != nil || json.Unmarshal(text, &sidecar) != nil {
		return false, nil // the file is being replaced
	}
	alt, _ := sidecar.Metadata["alt"].(string)
	return sidecar.Version == truth.VersionID && sidecar.Metadata["title"] == truth.Title && alt == truth.AltText, nil
}
