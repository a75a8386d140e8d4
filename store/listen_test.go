package store

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"damsync/internal/pgtest"
	"damsync/internal/state"
)

const listeners = `FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'`

// listener runs Listen until the test ends it.
type listener struct {
	t     *testing.T
	woken chan state.Topic
	stop  context.CancelFunc
	done  chan error
}

func listen(t *testing.T, s *Store) *listener {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	l := &listener{t: t, woken: make(chan state.Topic, 100), stop: stop, done: make(chan error, 1)}
	go func() { l.done <- s.Listen(ctx, func(topic state.Topic) { l.woken <- topic }) }()
	t.Cleanup(func() {
		stop()
		if err := <-l.done; err != nil {
			t.Errorf("listen: %v", err)
		}
	})
	return l
}

// expect waits for the topics in any order.
func (l *listener) expect(topics ...state.Topic) {
	l.t.Helper()
	missing := map[state.Topic]bool{}
	for _, topic := range topics {
		missing[topic] = true
	}
	for len(missing) > 0 {
		select {
		case topic := <-l.woken:
			if !missing[topic] {
				l.t.Fatalf("woken for %q, want %v", topic, missing)
			}
			delete(missing, topic)
		case <-time.After(30 * time.Second):
			l.t.Fatalf("not woken for %v", missing)
		}
	}
}

func TestListen(t *testing.T) {
	pool := pgtest.Pool(t)
	s := New(pool, "a")
	l := listen(t, s)
	l.expect(state.Topics()...) // earlier notifications are not known

	send := func(topic state.Topic) {
		t.Helper()
		err := s.inTx(t.Context(), "send", func(tx pgx.Tx) error { return notify(t.Context(), tx, topic) })
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, topic := range append(state.Topics(), "of a later version") {
		send(topic)
		l.expect(topic)
	}
	exec(t, pool, `SELECT pg_terminate_backend(pid) `+listeners)
	// Whatever was sent meanwhile was missed: a wake-up for every topic stands for it.
	l.expect(state.TopicLookup, state.TopicPlacement, state.TopicGuard, state.TopicPlan, state.TopicBurst, state.TopicReferences)
	send(state.TopicPlacement)
	l.expect(state.TopicPlacement)
}

func TestListenGivesItsConnectionBack(t *testing.T) {
	pool := pgtest.Pool(t)
	l := listen(t, New(pool, "a"))
	l.expect(state.Topics()...)
	if n := query[int](t, pool, `SELECT count(*) `+listeners); n != 1 {
		t.Errorf("%d connections listen, want 1", n)
	}
	l.stop()
	if err := <-l.done; err != nil {
		t.Errorf("ended with %v", err)
	}
	l.done <- nil                                // for the clean-up
	deadline := time.Now().Add(30 * time.Second) // the server notices a little later
	for query[int](t, pool, `SELECT count(*) `+listeners) > 0 {
		if time.Now().After(deadline) {
			t.Fatal("the connection is still open")
		}
	}
}

// Listen returns an error when the server refuses the login, since waiting does not help.
func TestListenReturnsWhatTheServerRefuses(t *testing.T) {
	cfg, err := pgxpool.ParseConfig(pgtest.URL(t))
	if err != nil {
		t.Fatal(err)
	}
	cfg.ConnConfig.User = "damsync_nobody"
	pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	if err := New(pool, "a").Listen(t.Context(), func(state.Topic) {}); err == nil {
		t.Error("it ended without a reason")
	}
}
