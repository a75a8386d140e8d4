package s3

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"damsync/dam"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// connection makes the SDK's client at first use, since reading credentials is
// I/O, and again after the server rejected the credentials.
type connection struct {
	options *options

	mu        sync.Mutex // guards api and http
	api       *s3.Client
	http      *awshttp.BuildableClient
	intercept func(s3.HTTPClient) s3.HTTPClient // nil outside of tests
}

// request is a method of s3.Client.
type request[I, O any] = func(*s3.Client, context.Context, *I, ...func(*s3.Options)) (*O, error)

// call sends one request.
func call[I, O any](
	ctx context.Context, c *connection, send request[I, O], in *I, with ...func(*s3.Options),
) (*O, error) {
	api, err := c.connect(ctx)
	if err != nil {
		return nil, err
	}
	out, err := send(api, ctx, in, with...)
	if rejectsCredentials(err) {
		c.disconnect()
	}
	return out, err
}

// ListObjectsV2 implements s3.ListObjectsV2APIClient.
func (c *connection) ListObjectsV2(
	ctx context.Context, in *s3.ListObjectsV2Input, with ...func(*s3.Options),
) (*s3.ListObjectsV2Output, error) {
	return call(ctx, c, (*s3.Client).ListObjectsV2, in, with...)
}

// ListParts implements s3.ListPartsAPIClient.
func (c *connection) ListParts(
	ctx context.Context, in *s3.ListPartsInput, with ...func(*s3.Options),
) (*s3.ListPartsOutput, error) {
	return call(ctx, c, (*s3.Client).ListParts, in, with...)
}

// ListMultipartUploads implements s3.ListMultipartUploadsAPIClient.
func (c *connection) ListMultipartUploads(
	ctx context.Context, in *s3.ListMultipartUploadsInput, with ...func(*s3.Options),
) (*s3.ListMultipartUploadsOutput, error) {
	return call(ctx, c, (*s3.Client).ListMultipartUploads, in, with...)
}

func (c *connection) connect(ctx context.Context) (*s3.Client, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.api != nil {
		return c.api, nil
	}
	if c.http == nil {
		c.http = newHTTPClient()
	}
	cfg, err := config.LoadDefaultConfig(ctx, c.loadOptions()...)
	if err != nil {
		return nil, noCredentials(err)
	}
	if cfg.Region == "" {
		cfg.Region = "us-east-1" // what servers without regions expect in a signature
	}
	cfg.Credentials = advising{cfg.Credentials}
	c.api = s3.NewFromConfig(cfg, func(o *s3.Options) {
		o.UsePathStyle = c.options.pathStyle
		o.Retryer = aws.NopRetryer{} // a body cannot be sent twice; the caller decides
		// The SDK would read the body first to compute a checksum.
		o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
		o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
		if c.intercept != nil {
			o.HTTPClient = c.intercept(o.HTTPClient)
		}
		if c.options.endpoint != "" {
			o.BaseEndpoint = aws.String(c.options.endpoint)
		}
	})
	return c.api, nil
}

// disconnect drops the SDK's client, so that the next request reads the credentials
// again. Its connections stay open.
func (c *connection) disconnect() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.api = nil
}

// newHTTPClient keeps as many connections as there are workers. A server-side copy
// is answered only when it is complete, so the limit for answers is long.
func newHTTPClient() *awshttp.BuildableClient {
	return awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) {
		t.ForceAttemptHTTP2 = false
		t.MaxIdleConns, t.MaxIdleConnsPerHost = 256, 128
		t.ResponseHeaderTimeout = 5 * time.Minute
	})
}

func (c *connection) loadOptions() []func(*config.LoadOptions) error {
	load := []func(*config.LoadOptions) error{config.WithHTTPClient(c.http)}
	if c.options.region != "" {
		load = append(load, config.WithRegion(c.options.region))
	}
	if c.options.accessKeyID != "" {
		load = append(load, config.WithCredentialsProvider(aws.CredentialsProviderFunc(c.credentials)))
	}
	return load
}

// credentials returns the configured ones.
func (c *connection) credentials(ctx context.Context) (aws.Credentials, error) {
	secretKey, err := c.options.secretKey()
	if err != nil {
		return aws.Credentials{}, &dam.Denied{Need: dam.NeedCredentials, Advice: "correct secret_access_key_file", Err: err}
	}
	token := ""
	if c.options.sessionToken != nil {
		if token, err = c.options.sessionToken(); err != nil {
			return aws.Credentials{}, &dam.Denied{Need: dam.NeedCredentials, Advice: "correct session_token_file", Err: err}
		}
	}
	return credentials.NewStaticCredentialsProvider(c.options.accessKeyID, secretKey, token).Retrieve(ctx)
}

// advising adds advice to the error of a provider that has no credentials.
type advising struct{ next aws.CredentialsProvider }

// Retrieve implements aws.CredentialsProvider.
func (a advising) Retrieve(ctx context.Context) (aws.Credentials, error) {
	c, err := a.next.Retrieve(ctx)
	if err != nil && ctx.Err() == nil && dam.Classify(err) == dam.ClassUnknown {
		err = noCredentials(err)
	}
	return c, err
}

func noCredentials(err error) error {
	return &dam.Denied{
		Need: dam.NeedCredentials, Err: err,
		Advice: "set access_key_id and secret_access_key, or correct the AWS environment variables, files or role",
	}
}

// rejectsCredentials reports whether a request failed because of its credentials.
func rejectsCredentials(err error) bool {
	var denied *dam.Denied
	if err == nil || !errors.As(err, &denied) && !errors.As(codeClass(errorCode(err), nil), &denied) {
		return false
	}
	return denied.Need == dam.NeedCredentials
}
