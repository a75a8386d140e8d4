//go:build !linux && !darwin

package filesystem

import "errors"

func renameNoReplace(int, string, int, string) error { return errors.ErrUnsupported }
