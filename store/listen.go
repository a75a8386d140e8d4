package store

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"damsync/internal/state"
)

// Listen calls wake with the topic of every notification until ctx ends; then
// it returns nil. Each time it has connected, the first time too, it calls wake
// with every topic, since something may have been missed. wake is called by one
// goroutine at a time and should return at once; it may be given a topic that
// this version does not know.
//
// The connection is Listen's own: none of the pool's is held. A lost one is made
// anew with growing pauses. An error is returned only for what no waiting cures:
// the server refuses the login or the command.
func (s *Store) Listen(ctx context.Context, wake func(state.Topic)) error {
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval = 200 * time.Millisecond
	pause.MaxInterval = 30 * time.Second
	for {
		err := s.listenOnce(ctx, func() {
			pause.Reset()
			for _, topic := range state.Topics() {
				wake(topic)
			}
		}, wake)
		if ctx.Err() != nil {
			return nil
		}
		if refused(err) {
			return fmt.Errorf("listen on channel %s: %w", Channel, err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause.NextBackOff()):
		}
	}
}

// listenOnce listens on one connection until it breaks or ctx ends.
func (s *Store) listenOnce(ctx context.Context, connected func(), wake func(state.Topic)) error {
	conn, err := pgx.ConnectConfig(ctx, s.listenConfig())
	if err != nil {
		return err
	}
	defer closeConn(conn)
	if _, err := conn.Exec(ctx, "LISTEN "+pgx.Identifier{Channel}.Sanitize()); err != nil {
		return err
	}
	connected()
	for {
		n, err := conn.WaitForNotification(ctx)
		if err != nil {
			return err
		}
		wake(state.Topic(n.Payload))
	}
}

// listenConfig is the pool's with TCP keep-alive: whoever only listens would not
// notice otherwise that the server is gone.
func (s *Store) listenConfig() *pgx.ConnConfig {
	cfg := s.pool.Config().ConnConfig
	dialer := &net.Dialer{KeepAliveConfig: net.KeepAliveConfig{
		Enable: true, Idle: 30 * time.Second, Interval: 10 * time.Second, Count: 3,
	}}
	cfg.DialFunc = dialer.DialContext
	return cfg
}

// closeConn says goodbye to the server, briefly: ctx has usually ended.
func closeConn(conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = conn.Close(ctx) // it is given up either way
}

// refused reports whether the server answered that it will not let us listen.
func refused(err error) bool {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return false
	}
	const authorization, accessRule = "28", "42"
	return strings.HasPrefix(pg.Code, authorization) || strings.HasPrefix(pg.Code, accessRule)
}
