package s3

import (
	"context"
	"errors"

	"damsync/dam"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/smithy-go/middleware"
)

func (a *Adapter) credentials(ctx context.Context) (aws.Credentials, error) {
	secret, err := a.secretKey()
	if err != nil {
		return aws.Credentials{}, &dam.Denied{
			Need: dam.NeedCredentials, Advice: "mend secret_access_key_file", Err: err,
		}
	}
	token := ""
	if a.sessionToken != nil {
		if token, err = a.sessionToken(); err != nil {
			return aws.Credentials{}, &dam.Denied{Need: dam.NeedCredentials, Advice: "mend session_token_file", Err: err}
		}
	}
	return credentials.NewStaticCredentialsProvider(a.accessKeyID, secret, token).Retrieve(ctx)
}

// denying says of a source of credentials that gives none what a person can do.
type denying struct{ next aws.CredentialsProvider }

// Retrieve implements aws.CredentialsProvider.
func (d denying) Retrieve(ctx context.Context) (aws.Credentials, error) {
	c, err := d.next.Retrieve(ctx)
	if err != nil && ctx.Err() == nil && dam.Classify(err) == dam.ClassUnknown {
		err = noCredentials(err)
	}
	return c, err
}

func noCredentials(err error) error {
	return &dam.Denied{
		Need: dam.NeedCredentials, Advice: "set access_key_id and secret_access_key, or mend the AWS environment, files or role", Err: err,
	}
}

// whenDenied calls f after each request that failed for want of credentials.
func whenDenied(f func()) func(*middleware.Stack) error {
	return func(stack *middleware.Stack) error {
		return stack.Initialize.Add(middleware.InitializeMiddlewareFunc("damsyncDenied", func(
			ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler,
		) (middleware.InitializeOutput, middleware.Metadata, error) {
			out, md, err := next.HandleInitialize(ctx, in)
			if lacksCredentials(err) {
				f()
			}
			return out, md, err
		}), middleware.Before)
	}
}

func lacksCredentials(err error) bool {
	var denied *dam.Denied
	if err == nil || !errors.As(err, &denied) && !errors.As(codeClass(errorCode(err), nil), &denied) {
		return false
	}
	return denied.Need == dam.NeedCredentials
}
