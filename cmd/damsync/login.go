package main

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"damsync/internal/config"
)

// loginWait limits how long a person may take in the browser.
const loginWait = 5 * time.Minute

func newLogin(p process) *cobra.Command {
	var file, listen string
	cmd := &cobra.Command{
		Use:   "login",
		Short: "Log in to the CMP once in a browser (grant: authorization_code)",
		Long: `login prints a URL to open in a browser on this machine. After you agree, the CMP
redirects the browser to a listener on the loopback interface, and login stores the
tokens encrypted. Register the printed callback URL with your app in the CMP.

Do not log in again while a daemon runs: that may end the daemon's login.`,
		Example: "  damsync login --config config.yaml --listen 127.0.0.1:8931",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			a, err := openApp(cmd.Context(), p, appOptions{configFile: file, quiet: true})
			if err != nil {
				return err
			}
			defer a.closing(&err)
			if a.cfg.CMP.Grant != config.GrantAuthorizationCode {
				return usage("cmp.grant is %s, which needs no login; test it with damsync check", a.cfg.CMP.Grant)
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), loginWait)
			defer cancel()
			return a.loginInBrowser(ctx, p, listen)
		},
	}
	configFlag(cmd, &file)
	cmd.Flags().StringVar(&listen, "listen", "127.0.0.1:8931", "loopback `ADDR` that the CMP redirects the browser to")
	return cmd
}

func (a *app) loginInBrowser(ctx context.Context, p process, listen string) error {
	login, err := a.login()
	if err != nil {
		return err
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", listen)
	if err != nil {
		return fmt.Errorf("listen for the browser on --listen: %w", err)
	}
	redirect := "http://" + l.Addr().String() + "/callback"
	state := rand.Text()
	fmt.Fprintf(p.stdout, "callback URL: %s\nopen in a browser: %s\n", redirect, login.AuthCodeURL(state, redirect))
	code, err := awaitCode(ctx, l, state)
	if err != nil {
		return err
	}
	if err := login.Exchange(ctx, code, redirect); err != nil {
		return err
	}
	fmt.Fprintln(p.stdout, "logged in; the tokens are stored encrypted")
	return nil
}

type callback struct {
	code string
	err  error
}

// awaitCode serves the callback URL until the browser returns with the right state. It returns the
// authorization code.
func awaitCode(ctx context.Context, l net.Listener, state string) (string, error) {
	got := make(chan callback, 1)
	server := &http.Server{Handler: callbackHandler(state, got), ReadHeaderTimeout: 5 * time.Second, MaxHeaderBytes: 16 << 10}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	var result callback
	select {
	case result = <-got:
	case <-ctx.Done():
		result.err = fmt.Errorf("wait for the browser: %w", context.Cause(ctx))
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	if err := server.Shutdown(end); err != nil {
		result.err = errors.Join(result.err, server.Close())
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		result.err = errors.Join(result.err, err)
	}
	return result.code, result.err
}

// callbackHandler sends the first callback with the right state to got. It rejects callbacks with
// another state, because any process on this machine can send one.
func callbackHandler(state string, got chan<- callback) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		if r.URL.Path != "/callback" || subtle.ConstantTimeCompare([]byte(q.Get("state")), []byte(state)) != 1 {
			http.Error(w, "this is not the login that damsync is waiting for", http.StatusBadRequest)
			return
		}
		result := callback{code: q.Get("code")}
		if result.code == "" {
			result.err = fmt.Errorf("the CMP denied the login: %q %q", q.Get("error"), q.Get("error_description"))
		}
		fmt.Fprintln(w, "damsync: you can close this window.")
		select {
		case got <- result:
		default:
		}
	})
}
