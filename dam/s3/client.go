package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// newHTTPClient keeps as many connections as there are workers, and gives up on
// a server that does not answer. A server-side copy answers only when it is
// done, hence the long limit.
func newHTTPClient() *awshttp.BuildableClient {
	return awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) {
		t.ForceAttemptHTTP2 = false
		t.MaxIdleConns, t.MaxIdleConnsPerHost = 256, 128
		t.ResponseHeaderTimeout = 5 * time.Minute
		t.DialContext = inLargePieces(t.DialContext)
	})
}

// connect makes the client at first use, since reading credentials is I/O, and anew
// after they were refused. A failure is tried again with the next call.
func (a *Adapter) connect(ctx context.Context) (*s3.Client, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.api != nil {
		return a.api, nil
	}
	if a.http == nil {
		a.http = newHTTPClient()
	}
	cfg, err := config.LoadDefaultConfig(ctx, a.loadOptions()...)
	if err != nil {
		return nil, fmt.Errorf("load credentials: %w", noCredentials(err))
	}
	if cfg.Region == "" {
		cfg.Region = "us-east-1" // what servers that know no regions want signed
	}
	cfg.Credentials = denying{cfg.Credentials}
	a.api = s3.NewFromConfig(cfg, func(o *s3.Options) {
		o.UsePathStyle = a.pathStyle
		o.Retryer = aws.NopRetryer{} // who calls decides; a body cannot be sent twice
		// A checksum that the SDK computes would read the body beforehand.
		o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
		o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
		o.APIOptions = append(o.APIOptions, whenDenied(a.disconnect))
		if a.intercept != nil {
			o.HTTPClient = a.intercept(o.HTTPClient)
		}
		if a.endpoint != "" {
			o.BaseEndpoint = aws.String(a.endpoint)
		}
	})
	return a.api, nil
}

// disconnect gives the client up, so that the next one reads the credentials anew.
// Its connections stay.
func (a *Adapter) disconnect() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.api = nil
}

func (a *Adapter) loadOptions() []func(*config.LoadOptions) error {
	load := []func(*config.LoadOptions) error{config.WithHTTPClient(a.http)}
	if a.region != "" {
		load = append(load, config.WithRegion(a.region))
	}
	if a.accessKeyID != "" {
		load = append(load, config.WithCredentialsProvider(aws.CredentialsProviderFunc(a.credentials)))
	}
	return load
}

const maxSecretBytes = 4096

// readSecret reads a file that holds nothing but the secret.
func readSecret(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, maxSecretBytes+1))
	if err != nil {
		return "", err
	}
	secret := strings.TrimSpace(string(raw))
	if secret == "" || len(raw) > maxSecretBytes {
		return "", errors.New("file " + name + " does not hold a secret")
	}
	return secret, nil
}
