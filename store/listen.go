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

// Channel is the NOTIFY channel that wakes replicas; its payload is a state.Topic.
const Channel = "damsync"

const notifySQL = `SELECT pg_notify($1, $2)`

// Notify wakes the replicas.
func (s *Store) Notify(ctx context.Context, topic state.Topic) error {
	if _, err := s.pool.Exec(ctx, notifySQL, Channel, string(topic)); err != nil {
		return fmt.Errorf("notify %s: %w", topic, err)
	}
	return nil
}

// notify wakes the replicas when tx commits.
func notify(ctx context.Context, tx pgx.Tx, topic state.Topic) error {
	if _, err := tx.Exec(ctx, notifySQL, Channel, string(topic)); err != nil {
		return fmt.Errorf("notify %s: %w", topic, err)
	}
	return nil
}

// Listen calls wake with the topic of every notification until ctx ends; then it returns nil. Each time it has
// connected, the first time included, it calls wake with every topic, since notifications may have been missed.
// One goroutine at a time calls wake, which should return at once. Its topic may be one that this version does not
// know.
//
// Listen uses a connection of its own, outside the pool. It reconnects with growing pauses. It returns an error only
// when waiting cannot help: the server refuses the login or the command.
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
		if isDenied(err) {
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

// listenConfig is the pool's configuration with TCP keep-alive. A connection that only listens does not notice
// otherwise that the server is gone.
func (s *Store) listenConfig() *pgx.ConnConfig {
	cfg := s.pool.Config().ConnConfig
	dialer := &net.Dialer{KeepAliveConfig: net.KeepAliveConfig{
		Enable: true, Idle: 30 * time.Second, Interval: 10 * time.Second, Count: 3,
	}}
	cfg.DialFunc = dialer.DialContext
	return cfg
}

// closeConn ends the session properly, but briefly: ctx has usually ended.
func closeConn(conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = conn.Close(ctx) // the connection is dropped either way
}

// isDenied reports whether the server answered that this user may not listen.
func isDenied(err error) bool {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return false
	}
	const authorization, accessRule = "28", "42"
	return strings.HasPrefix(pg.Code, authorization) || strings.HasPrefix(pg.Code, accessRule)
}
