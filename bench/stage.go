package main

import (
	"context"
	"errors"
	"fmt"
	"os"
)

// stage is to a program what a *testing.T is to a test, for the helpers that ask
// for one: a directory, what is to be done at the end, and a way to give up.
type stage struct {
	ctx      context.Context
	cleanups []func()
}

// gaveUp is what Fatal throws and onStage catches.
type gaveUp struct{ error }

// onStage runs do, and then what it left to be cleaned up, last things first.
func onStage(ctx context.Context, do func(*stage) error) (err error) {
	s := &stage{ctx: ctx}
	defer func() {
		switch r := recover().(type) {
		case nil:
		case gaveUp:
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
func (s *stage) Fatal(args ...any)        { panic(gaveUp{errors.New(fmt.Sprint(args...))}) }

func (s *stage) Fatalf(format string, args ...any) { panic(gaveUp{fmt.Errorf(format, args...)}) }

func (s *stage) TempDir() string {
	dir, err := os.MkdirTemp("", "damsync-bench-")
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}
