package s3test

import (
	"net"
	"testing"
)

// A server whose port another process holds starts once the port is free.
func TestRestartWaitsForItsPort(t *testing.T) {
	s := Start(t)
	s.Kill()
	var listen net.ListenConfig
	other, err := listen.Listen(t.Context(), "tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for c, err := other.Accept(); err == nil; c, err = other.Accept() {
			_ = c.Close()
		}
	}()
	starts := 0
	err = s.tries(t, nil, func() error {
		if starts++; starts == 2 {
			return other.Close()
		}
		return nil
	})
	if err != nil || starts != 2 {
		t.Fatalf("%d starts, %v", starts, err)
	}
	s.Bucket(t, "there")
}
