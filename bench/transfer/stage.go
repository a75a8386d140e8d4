package main

import (
	"context"
	"errors"
	"fmt"
	"os"
)

// stage gives test helpers what they need of a test: a directory, cleanups and a way to fail.
type stage struct {
	ctx      context.Context
	cleanups []func()
}

// failed is the panic of Fatal that onStage recovers.
type failed struct{ error }

// onStage runs do and then its cleanups, last first. It returns the error of do or of Fatal.
func onStage(ctx context.Context, do func(*stage) error) (err error) {
	s := &stage{ctx: ctx}
	defer func() {
		switch r := recover().(type) {
		case nil:
		case failed:
			err = r.error
		default:
			panic(r)
		}
	}()
	defer s.clean()
	return do(s)
}

func (s *stage) clean() {
	for n := len(s.cleanups); n > 0; n = len(s.cleanups) {
		last := s.cleanups[n-1]
		s.cleanups = s.cleanups[:n-1]
		last()
	}
}

func (s *stage) Helper()                  {}
func (s *stage) Context() context.Context { return s.ctx }
func (s *stage) Cleanup(f func())         { s.cleanups = append(s.cleanups, f) }
func (s *stage) Fatal(args ...any)        { panic(failed{errors.New(fmt.Sprint(args...))}) }

func (s *stage) Fatalf(format string, args ...any) { panic(failed{fmt.Errorf(format, args...)}) }

func (s *stage) TempDir() string {
	dir, err := os.MkdirTemp("", "damsync-bench-")
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}
