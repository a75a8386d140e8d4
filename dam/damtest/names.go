package damtest

import (
	"fmt"
	"strings"

	"damsync/dam"
)

func nameCases() []testCase {
	return []testCase{
		{"odd names are kept or rejected", oddNames},
		{"similar names do not collide", twins},
		{"a file and a directory of one name do not collide", fileAndDirectory},
		{"accepts the longest name", longestName},
		{"accepts the longest path", longestPath},
		{"rejects invalid paths", invalidPaths},
	}
}

// oddNames are kept byte by byte, or rejected.
func oddNames(k *kit) {
	names := []string{
		"with space.png", "Ünïcode 日本.png", "e\u0301.png", "🎉.png", "plus+and&=;,.png", "100%.png", "%2e%2e.png",
		"quote'\".png", "hash#.png", "question?.png", "star*.png", "back\\slash.png", "colon:.png", "[brackets]{}.png",
		".hidden", "no extension", "trailing.", "many.dots.tar.gz", "-dash", "~tilde", "tab\there", "new\nline", "a/.b/c",
		"ends in .json", strings.Repeat("é", 100), "CON", "nul.txt",
	}
	kept := 0
	for i, name := range names {
		obj := k.object(fmt.Sprint(i), "names/"+name, "body of "+name, 1)
		r, err := k.a.Put(k.ctx, obj, dam.Remote{})
		if err != nil {
			wantClass(k, fmt.Sprintf("put at %q", obj.Path), err, dam.ClassInvalid)
			continue
		}
		wantPut(k, r, obj, "body of "+name)
		kept++
	}
	wantCount(k, kept)
	if kept < len(names)/2 {
		k.Errorf("only %d of %d names are accepted", kept, len(names))
	}
}

// twins have names that a target may take for the same. Both exist in the end, or the
// second is rejected; neither replaces the other.
func twins(k *kit) {
	pairs := [][2]string{
		{"case/Photo.png", "case/photo.PNG"},
		{"Dir/x.png", "dir/x.png"},
		{"form/\u00e9.png", "form/e\u0301.png"},
		{"\u00c5/x.png", "A\u030a/x.png"},
		{"width/ﬁ.png", "width/fi.png"},
		{"space/a b.png", "space/a\u00a0b.png"},
		{"dot/a.png", "dot/a.png."},
		{"escape/%41.png", "escape/A.png"},
		{"plus/a+b.png", "plus/a b.png"},
	}
	for i, pair := range pairs {
		first := k.object(fmt.Sprint(i, "-first"), pair[0], "first", 1)
		second := k.object(fmt.Sprint(i, "-second"), pair[1], "second", 1)
		k.put(first, dam.Remote{})
		if _, err := k.a.Put(k.ctx, second, dam.Remote{}); err != nil {
			wantClass(k, fmt.Sprintf("put at %q next to %q", pair[1], pair[0]), err, dam.ClassConflict, dam.ClassInvalid)
		} else {
			wantThere(k, second, "second")
		}
		wantThere(k, first, "first")
	}
}

// fileAndDirectory puts "x" and "x/y", which only some targets can hold together.
func fileAndDirectory(k *kit) {
	for i, pair := range [][2]string{{"x", "x/y.png"}, {"z/y.png", "z"}} {
		first := k.object(fmt.Sprint(i, "-first"), pair[0], "first", 1)
		second := k.object(fmt.Sprint(i, "-second"), pair[1], "second", 1)
		k.put(first, dam.Remote{})
		if _, err := k.a.Put(k.ctx, second, dam.Remote{}); err != nil {
			wantClass(k, fmt.Sprintf("put at %q next to %q", pair[1], pair[0]), err, dam.ClassConflict, dam.ClassInvalid, dam.ClassForeign)
		} else {
			wantThere(k, second, "second")
		}
		wantThere(k, first, "first")
	}
}

// longestName has 255 bytes when the capabilities name no limit.
func longestName(k *kit) {
	longest := k.can.MaxNameBytes
	if longest == 0 {
		longest = 255
	}
	obj := k.object("A", "dir/"+strings.Repeat("x", longest), "one", 1)
	wantPut(k, k.put(obj, dam.Remote{}), obj, "one")
	if k.can.MaxNameBytes > 0 {
		wantInvalidPath(k, "dir/"+strings.Repeat("x", longest+1))
		wantInvalidPath(k, strings.Repeat("é", longest/2+1)+"/x.png")
	}
	wantCount(k, 1)
}

func longestPath(k *kit) {
	k.needs(k.can.MaxPathBytes > 0, "a limit of paths")
	obj := k.object("A", pathOf(k.can.MaxPathBytes), "one", 1)
	wantPut(k, k.put(obj, dam.Remote{}), obj, "one")
	wantInvalidPath(k, pathOf(k.can.MaxPathBytes+1))
	wantCount(k, 1)
}

// pathOf returns a path of n bytes, in names of 99 bytes.
func pathOf(n int) string {
	s := strings.Repeat(strings.Repeat("p", 99)+"/", n/100+1)[:n]
	if strings.HasSuffix(s, "/") {
		s = s[:n-1] + "p"
	}
	return s
}

func wantInvalidPath(k *kit, path string) {
	k.Helper()
	_, err := k.a.Put(k.ctx, k.object("invalid", path, "one", 1), dam.Remote{})
	wantClass(k, "put at "+short(path), err, dam.ClassInvalid)
}

// invalidPaths puts at and moves to invalid paths.
func invalidPaths(k *kit) {
	obj := k.object("A", "a.png", "one", 1)
	r := k.put(obj, dam.Remote{})
	for _, path := range []string{"", ".", "/a", "../a", "dir/../../a", "dir//a", "dir/", "./a", "dir/./a", "a\x00b"} {
		wantInvalidPath(k, path)
		if k.can.ServerSideMove {
			_, err := k.a.Move(k.ctx, r, k.mark("A", 2), path)
			wantClass(k, "move to "+short(path), err, dam.ClassInvalid)
		}
	}
	delete(k.made, k.key("invalid"))
	wantThere(k, obj, "one")
	wantCount(k, 1)
}
